"""Roadmark: trains, judges, speeds up and ships object detectors for street scenes."""
