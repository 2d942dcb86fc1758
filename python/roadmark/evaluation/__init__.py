"""COCO metrics of detections against ground truth, and their reports."""
