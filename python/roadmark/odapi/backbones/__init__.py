"""Backbones of our own for the OD API's one-stage models; docs/own_models.md says how to add one.

`registry.py` lists them. Nothing here is imported but by `roadmark.odapi.models`, behind the door.
"""
