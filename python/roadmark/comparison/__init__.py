"""Runs side by side: metrics, costs, settings, which differences are real, where they disagree."""
