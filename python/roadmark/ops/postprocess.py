"""Raw outputs of a network to `Detections`.

Does what `SSDMetaArch.postprocess`, `FasterRCNNMetaArch.postprocess` and
`batch_multiclass_non_max_suppression` of the OD API do, on the outputs that a manifest describes.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from roadmark.detections import Detections
from roadmark.manifest import (
    CLASS_AGNOSTIC,
    SIGMOID,
    TWO_STAGE,
    InputSpec,
    PostprocessSpec,
)
from roadmark.ops import _native
from roadmark.ops.arrays import as_array
from roadmark.ops.preprocess import resized_size

# Names of the raw graph's outputs.
BOX_ENCODINGS = "box_encodings"
CLASS_LOGITS = "class_logits"
PROPOSALS = "proposals"
NUM_PROPOSALS = "num_proposals"
MASK_LOGITS = "mask_logits"


def postprocess(
    outputs: Mapping[str, np.ndarray],
    anchors: np.ndarray | None,
    spec: PostprocessSpec,
    input_spec: InputSpec,
    image_sizes: Sequence[tuple[int, int]],
    score_threshold: float = 0.0,
    threads: int = 1,
) -> list[Detections]:
    """Converts scores, decodes, clips and suppresses boxes, and pastes masks.

    Boxes are decoded, suppressed, then clipped to the picture; those left without area are
    dropped, and the best `max_total` remain, by score; of equal scores the lower class comes
    first, then the lower anchor.

    Args:
        outputs: Raw outputs of a batch of B pictures, float32 (`num_proposals` int32):
            `class_logits` `[B, N, C]`, or with a background column `[B, N, C + 1]`;
            `box_encodings` `[B, N, 4]`, or `[B, N, 1 or C, 4]` for two stages, which also have
            `proposals` `[B, N, 4]` in pixels of the network's input, `num_proposals` `[B]` and,
            for instance masks, `mask_logits` `[B, N, mask height, mask width]`, or `[B, N, C, mask
            height, mask width]` with a mask per class.
        anchors: float32 `[N, 4]` normalised to the network's input; None for two stages.
        spec: From the manifest.
        input_spec: From the manifest.
        image_sizes: `(height, width)` in pixels of each original picture.
        score_threshold: Drops boxes with this score or less, on top of the manifest's threshold.
        threads: How many threads share the pictures.

    Returns:
        One `Detections` per picture, boxes in pixels of the original picture, best first.

    Raises:
        ValueError: An output is missing, or the outputs' shapes do not fit each other, the anchors
            or `image_sizes`; the message names it.
    """
    outputs = _checked(outputs, spec)
    if spec.architecture != TWO_STAGE:
        anchors = as_array(anchors, "anchors")
    _require_shapes(outputs, anchors, spec, image_sizes)
    logits, encodings = outputs[CLASS_LOGITS], outputs[BOX_ENCODINGS]
    batch, rows = logits.shape[:2]
    counts = np.full(batch, rows, np.int32)
    if spec.architecture == TWO_STAGE:
        anchors = outputs[PROPOSALS] / np.float32((input_spec.height, input_spec.width) * 2)
        counts = np.asarray(outputs[NUM_PROPOSALS], np.int32)
    per_picture = _native.postprocess(
        logits,
        encodings.reshape(batch, rows, encodings.shape[2] if encodings.ndim == 4 else 1, 4),
        anchors,
        mask_logits=_with_class_axis(outputs.get(MASK_LOGITS)),
        counts=counts,
        windows=_true_windows(input_spec, image_sizes),
        scale_factors=spec.box_coder.scale_factors,
        score_converter=spec.score_converter,
        logit_scale=spec.logit_scale,
        background_column=spec.background_column,
        class_agnostic=spec.nms.mode == CLASS_AGNOSTIC,
        score_threshold=max(score_threshold, spec.nms.score_threshold),
        iou_threshold=spec.nms.iou_threshold,
        max_per_class=spec.nms.max_per_class,
        max_total=spec.nms.max_total,
        soft_nms_sigma=spec.nms.soft_nms_sigma,
        threads=threads,
    )
    return [
        Detections(
            boxes=normalised * np.float32((*size, *size)),
            scores=scores,
            classes=classes + np.int32(1),
            masks=None
            if masks is None
            else paste_masks(masks, normalised, size, spec.mask_threshold, threads),
        )
        for (normalised, scores, classes, _, masks), size in zip(
            per_picture, image_sizes, strict=True
        )
    ]


def convert_scores(logits: np.ndarray, spec: PostprocessSpec) -> np.ndarray:
    """Logits `[N, C]` (or `[N, C + 1]`) to scores `[N, C]` without the background, float32."""
    logits = logits * np.float32(1.0 / spec.logit_scale)
    if spec.score_converter == SIGMOID:
        with np.errstate(over="ignore"):
            scores = np.float32(1) / (np.float32(1) + np.exp(-logits))
    else:
        exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
        scores = exponents / exponents.sum(axis=-1, keepdims=True)
    return scores[:, 1:] if spec.background_column else scores


def _with_class_axis(mask_logits: np.ndarray | None) -> np.ndarray | None:
    if mask_logits is None or mask_logits.ndim == 5:
        return mask_logits
    return mask_logits[:, :, np.newaxis]


def _true_windows(input_spec: InputSpec, image_sizes: Sequence[tuple[int, int]]) -> np.ndarray:
    """Each picture's share of the network's input, float32 `(height, width)` in 0 to 1."""
    resized = [resized_size(input_spec, *size) for size in image_sizes]
    sides = np.float32((input_spec.height, input_spec.width))
    return np.array(resized, np.float32).reshape(-1, 2) / sides


def paste_masks(
    probabilities: np.ndarray,
    boxes: np.ndarray,
    image_size: tuple[int, int],
    threshold: float,
    threads: int = 1,
) -> np.ndarray:
    """Puts box-sized mask probabilities where their boxes are in the picture.

    Samples as `tf.image.crop_and_resize` in the OD API's `reframe_box_masks_to_image_masks`:
    pixel `i` of `n` lies at `i / (n - 1)`, the mask's first and last sample on the box's edges. A
    box without area, or with an infinite corner, covers no pixel.

    Args:
        probabilities: float32 `[N, mask height, mask width]`, 0 to 1; NaN counts as 0.
        boxes: float32 `[N, 4]`, normalised to the picture.
        image_size: `(height, width)` of the picture in pixels.
        threshold: Pixels with more than this are set.
        threads: How many threads share the masks.

    Returns:
        bool `[N, height, width]`.

    Raises:
        ValueError: An argument has another shape or dtype, a mask has no sample, a box has a NaN
            corner, or a number is out of range; the message names it.
    """
    return _native.paste_masks(
        probabilities, boxes, image_size=image_size, threshold=threshold, threads=threads
    )


def _checked(outputs: Mapping[str, np.ndarray], spec: PostprocessSpec) -> dict[str, np.ndarray]:
    of_two_stages = (PROPOSALS, NUM_PROPOSALS) if spec.architecture == TWO_STAGE else ()
    for name in (CLASS_LOGITS, BOX_ENCODINGS, *of_two_stages):
        if name not in outputs:
            raise ValueError(f"outputs: found {', '.join(outputs) or 'none'}, expected {name}")
    return {name: as_array(array, name) for name, array in outputs.items()}


def _require_shapes(
    outputs: Mapping[str, np.ndarray],
    anchors: np.ndarray | None,
    spec: PostprocessSpec,
    image_sizes: Sequence[tuple[int, int]],
) -> None:
    for index, size in enumerate(image_sizes):
        if min(size) < 1:
            raise ValueError(f"image_sizes[{index}]: found {size}, expected sides of 1 or more")
    has_two_stages = spec.architecture == TWO_STAGE
    name, given = (PROPOSALS, outputs[PROPOSALS]) if has_two_stages else ("anchors", anchors)
    if given.ndim != 2 + has_two_stages or given.shape[-1] != 4:
        raise ValueError(f"{name}: found {given.dtype} {given.shape}, expected 4 columns of boxes")
    boxes = given.shape[-2]
    expected = (len(image_sizes), boxes)
    for name in (CLASS_LOGITS, BOX_ENCODINGS):
        array = outputs[name]
        if array.shape[:2] != expected or array.ndim < 3 or array.dtype != np.float32:
            raise ValueError(
                f"{name}: found {array.dtype} {array.shape}, expected float32 of shape "
                f"({len(image_sizes)} images, {boxes} boxes, ...)"
            )
    encodings = outputs[BOX_ENCODINGS]
    if encodings.ndim > 4 or encodings.shape[-1] != 4:
        raise ValueError(
            f"{BOX_ENCODINGS}: found {encodings.dtype} {encodings.shape}, expected 4 columns"
        )
