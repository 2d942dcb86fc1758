"""Modules that the OD API's sources import and that no longer exist as such.

`roadmark.odapi.source_edits` points the OD API's imports here, so that TensorFlow's own modules
stay as they are.
"""
