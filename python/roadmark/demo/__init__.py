"""The main job once through, on rendered scenes."""
