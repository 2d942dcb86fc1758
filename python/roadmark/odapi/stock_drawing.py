"""The OD API's own drawing, for who compares with it."""

from roadmark.odapi import door

door.open()

from object_detection.utils.visualization_utils import (  # noqa: E402
    visualize_boxes_and_labels_on_image_array,
)

__all__ = ["visualize_boxes_and_labels_on_image_array"]
