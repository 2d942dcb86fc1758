"""The one door to the TensorFlow Object Detection API; importing this package costs nothing.

`pipeline_config` and `label_map` need protobuf only. Whatever needs `object_detection` itself
calls `door.open()` before importing it.
"""
