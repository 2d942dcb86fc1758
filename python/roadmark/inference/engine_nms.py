"""What an engine gives that decodes and suppresses boxes itself, by TensorRT's EfficientNMS_TRT.

Its outputs have the names, shapes and meaning of the plugin's README (NVIDIA/TensorRT,
plugin/efficientNMSPlugin), with boxes normalised to the network's input.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from roadmark.detections import Detections
from roadmark.inference.tensorrt_stamp import NMS
from roadmark.manifest import EngineStamp, InputSpec
from roadmark.ops.preprocess import resized_size

PLUGIN = "EfficientNMS_TRT"
NUM_DETECTIONS = "num_detections"
BOXES, SCORES, CLASSES = "detection_boxes", "detection_scores", "detection_classes"
OUTPUTS = (NUM_DETECTIONS, BOXES, SCORES, CLASSES)


def is_in(stamp: EngineStamp) -> bool:
    """Whether an engine has the plugin inside, and final detections for outputs."""
    return stamp.built_for.get(NMS) == PLUGIN


def detections(
    outputs: Mapping[str, np.ndarray],
    input_spec: InputSpec,
    image_sizes: Sequence[tuple[int, int]],
    score_threshold: float = 0.0,
) -> list[Detections]:
    """Clips boxes to their pictures and drops those left without area.

    Args:
        outputs: Of a batch of B pictures: `num_detections` int32 `[B, 1]`, `detection_boxes`
            float32 `[B, M, 4]`, `detection_scores` `[B, M]`, `detection_classes` int32 `[B, M]`
            that count from 0; best first.
        input_spec: From the manifest.
        image_sizes: `(height, width)` in pixels of each original picture.
        score_threshold: Drops boxes with this score or less.

    Returns:
        One `Detections` per picture, boxes in pixels of the original picture, best first.
    """
    sides = np.float32((input_spec.height, input_spec.width))
    found = []
    for index, size in enumerate(image_sizes):
        count = int(outputs[NUM_DETECTIONS][index].item())
        window = np.tile(np.float32(resized_size(input_spec, *size)) / sides, 2)
        boxes = np.clip(outputs[BOXES][index, :count], 0, window) / window
        scores = outputs[SCORES][index, :count]
        stays = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (scores > score_threshold)
        found.append(
            Detections(
                boxes=boxes[stays] * np.float32((*size, *size)),
                scores=scores[stays],
                classes=outputs[CLASSES][index, :count][stays] + np.int32(1),
            )
        )
    return found
