"""torchvision's operations on the processor."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torchvision.ops import batched_nms as torchvision_batched_nms
from torchvision.ops import nms as torchvision_nms

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def batched_nms(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`batched_nms`, or `nms` for a single class; boxes as x before y beforehand.

    It knows no score threshold, so all boxes are above it, and no limit.
    """
    torch.set_num_threads(threads)
    boxes = torch.from_numpy(np.ascontiguousarray(arrays["boxes"][:, [1, 0, 3, 2]]))
    scores, classes = torch.from_numpy(arrays["scores"]), torch.from_numpy(arrays["classes"])
    iou_threshold = options["iou_threshold"]

    @torch.inference_mode()
    def call() -> torch.Tensor:
        if options["num_classes"] == 1:
            return torchvision_nms(boxes, scores, iou_threshold)
        return torchvision_batched_nms(boxes, scores, classes, iou_threshold)

    return call, lambda kept: {"indices": kept.numpy()}
