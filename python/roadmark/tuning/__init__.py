"""Searches over the fields of a config and a recipe."""
