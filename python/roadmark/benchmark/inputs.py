"""Seeded inputs that look like a trained detector's work on a street scene.

What an operation costs depends on its input. Uniformly random logits would be a gift: a detector
that has been trained gives a few hundred scores above a threshold, in clusters around its objects,
and tens of thousands of tiny ones. Random boxes would be one too: those that survive a threshold
lie on top of each other. docs/benchmark.md states the distributions.
"""

import numpy as np

Arrays = dict[str, np.ndarray]

INPUT_SIZE = 640
NUM_ANCHORS = 76725
OBJECTS = 20

_LEVELS = range(3, 8)
_ANCHOR_SCALE = 4.0
_BACKGROUND_LOGIT, _SPREAD = -7.0, 1.2
# How much higher a logit is on an anchor that coincides with an object.
_EVIDENCE = 10.0
# What focal loss starts from: a probability of 0.01 everywhere.
_UNTRAINED_LOGIT, _UNTRAINED_SPREAD = -4.6, 0.1


def anchors() -> np.ndarray:
    """EfficientDet's at 640 x 640: float32 `[76725, 4]`, normalised.

    Five levels, three scales per octave, aspect ratios 1, 2 and 1/2
    (https://arxiv.org/abs/1911.09070).
    """
    levels = []
    for level in _LEVELS:
        stride = 2**level
        steps = (np.arange(INPUT_SIZE // stride) + 0.5) * stride
        ratios = np.tile([1.0, 2.0, 0.5], 3)
        sides = _ANCHOR_SCALE * stride * np.repeat(2.0 ** (np.arange(3) / 3), 3)
        half = np.stack([sides / np.sqrt(ratios), sides * np.sqrt(ratios)], axis=1) / 2
        centres = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1)[:, :, None]
        levels.append(np.concatenate([centres - half, centres + half], axis=-1).reshape(-1, 4))
    return (np.concatenate(levels) / INPUT_SIZE).astype(np.float32)


def objects(rng: np.random.Generator, count: int) -> np.ndarray:
    """Boxes of a street's objects: float32 `[count, 4]`, normalised, within the picture.

    Heights are log-uniform from 2.5% to 50% of the picture, widths 0.4 to 2 times that.
    """
    heights = np.exp(rng.uniform(np.log(0.025), np.log(0.5), count))
    widths = np.minimum(heights * np.exp(rng.uniform(np.log(0.4), np.log(2.0), count)), 0.9)
    sides = np.stack([heights, widths], axis=1)
    low = rng.uniform(0, 1, (count, 2)) * (1 - sides)
    return np.concatenate([low, low + sides], axis=1).astype(np.float32)


def detector_outputs(
    num_classes: int, trained: bool = True, pictures: int = 1, seed: int = 1
) -> Arrays:
    """Raw outputs of a one-stage detector for a batch of pictures.

    Returns:
        `class_logits` `[pictures, 76725, num_classes]`, `box_encodings` `[pictures, 76725, 4]`
        with scale factors of 1, `anchors` `[76725, 4]`; float32.
    """
    grid = anchors()
    outputs = [
        _picture_outputs(grid, num_classes, trained, np.random.default_rng(seed + number))
        for number in range(pictures)
    ]
    logits, encodings = map(np.stack, zip(*outputs, strict=True))
    return _float32(class_logits=logits, box_encodings=encodings, anchors=grid)


def _picture_outputs(
    grid: np.ndarray, num_classes: int, trained: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Logits `[76725, num_classes]` and encodings `[76725, 4]`."""
    found = objects(rng, OBJECTS)
    overlaps = _iou(grid, found)
    nearest, best = overlaps.argmax(axis=1), overlaps.max(axis=1)
    if not trained:
        logits = rng.normal(_UNTRAINED_LOGIT, _UNTRAINED_SPREAD, (len(grid), num_classes))
        return logits, rng.normal(0, 0.05, (len(grid), 4))
    logits = rng.normal(_BACKGROUND_LOGIT, _SPREAD, (len(grid), num_classes))
    classes = rng.integers(0, num_classes, OBJECTS)
    logits[np.arange(len(grid)), classes[nearest]] += _EVIDENCE * best
    # Where the network sees an object it moves the anchor onto it, but not quite.
    seen = best > 0.3
    encodings = rng.normal(0, 0.2, (len(grid), 4))
    exact = _encode(found[nearest[seen]], grid[seen])
    encodings[seen] = exact + rng.normal(0, 0.05, exact.shape)
    return logits, encodings


def survivors(count: int, num_classes: int, disjoint: bool = False, seed: int = 1) -> Arrays:
    """Boxes that are above a score threshold, in pixels.

    They lie in clusters of 20 on average, each around one object and of its class; or, when
    `disjoint`, on a grid where none touches another, so that all must be compared with all.

    Returns:
        `boxes` float32 `[count, 4]`, `scores` float32 `[count]` from 0.05 to 1, all different,
        `classes` int32 `[count]`.
    """
    rng = np.random.default_rng(seed)
    scores = np.linspace(0.051, 0.999, count)[rng.permutation(count)]
    if disjoint:
        side = int(np.ceil(np.sqrt(count)))
        low = np.stack(np.divmod(np.arange(count), side), axis=1) * 4.0
        boxes, classes = np.concatenate([low, low + 3], axis=1), rng.integers(0, num_classes, count)
    else:
        scene = objects(rng, max(1, count // 20)) * INPUT_SIZE
        owner = rng.integers(0, len(scene), count)
        sides = np.tile(scene[owner, 2:] - scene[owner, :2], 2)
        boxes = scene[owner] + rng.normal(0, 0.08, (count, 4)) * sides
        boxes = np.concatenate(
            [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1
        )
        classes = rng.integers(0, num_classes, len(scene))[owner]
    return {**_float32(boxes=boxes, scores=scores), "classes": classes.astype(np.int32)}


def coding(seed: int = 1) -> Arrays:
    """A matched box for each anchor, and its encoding; scale factors 10, 10, 5, 5.

    Returns:
        `boxes`, `anchors` and `encodings`, float32 `[76725, 4]`, normalised.
    """
    rng = np.random.default_rng(seed)
    grid = anchors()
    sides = np.tile(grid[:, 2:] - grid[:, :2], 2)
    shift = rng.normal(0, 0.1, (len(grid), 4))
    boxes = grid + np.clip(shift, -0.3, 0.3) * sides
    factors = np.array([10, 10, 5, 5])
    return _float32(boxes=boxes, anchors=grid, encodings=_encode(boxes, grid) * factors)


def ground_truth(slots: int, real: int, num_classes: int, batch: int = 8, seed: int = 1) -> Arrays:
    """What target assignment gets for a batch.

    Returns:
        `boxes` float32 `[batch, slots, 4]` normalised, zeros beyond `real`; `classes` int32
        `[batch, slots]` from 0; `weights` float32 `[batch, slots]`, 0 beyond `real`; `anchors`.
    """
    rng = np.random.default_rng(seed)
    boxes = np.zeros((batch, slots, 4), np.float32)
    for one in boxes:
        one[:real] = objects(rng, real)
    classes = rng.integers(0, num_classes, (batch, slots)).astype(np.int32)
    weights = np.zeros((batch, slots), np.float32)
    weights[:, :real] = 1
    classes[:, real:] = 0
    return {"boxes": boxes, "classes": classes, "weights": weights, "anchors": anchors()}


def picture(height: int, width: int, seed: int = 1) -> np.ndarray:
    """uint8 `[height, width, 3]` RGB: noise, of which no operation can make short work."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def video_frame(height: int, width: int, count: int, seed: int = 1) -> Arrays:
    """A decoded frame and what was found on it.

    Returns:
        `frame` uint8 `[height * 3 / 2, width]`, I420; `boxes` float32 `[count, 4]` in pixels,
        `scores` float32, `classes` int32 from 1, `colours` uint8 `[count, 3]`.
    """
    rng = np.random.default_rng(seed)
    boxes = objects(rng, count) * np.float32([height, width, height, width])
    return {
        "frame": rng.integers(16, 236, (height * 3 // 2, width), np.uint8),
        "boxes": boxes.astype(np.float32),
        "scores": rng.uniform(0.3, 1, count).astype(np.float32),
        "classes": rng.integers(1, 4, count).astype(np.int32),
        "colours": rng.integers(0, 256, (count, 3), np.uint8),
    }


def instance_masks(count: int, samples: int = 33, seed: int = 1) -> Arrays:
    """Masks as Mask R-CNN gives them: a round object in each box, blurred at its edge.

    Returns:
        `probabilities` float32 `[count, samples, samples]`, `boxes` float32 `[count, 4]`,
        normalised.
    """
    rng = np.random.default_rng(seed)
    at = np.linspace(-1, 1, samples)
    distance = np.hypot(at[:, None] * rng.uniform(0.9, 1.3, (count, 1, 1)), at)
    probabilities = 1 / (1 + np.exp(12 * (distance - 0.8)))
    return _float32(probabilities=probabilities, boxes=objects(rng, count))


def _iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    low = np.maximum(boxes[:, None, :2], others[:, :2])
    high = np.minimum(boxes[:, None, 2:], others[:, 2:])
    intersection = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(each[:, 2:] - each[:, :2], axis=-1) for each in (boxes, others)]
    return intersection / (areas[0][:, None] + areas[1] - intersection)


def _encode(boxes: np.ndarray, grid: np.ndarray) -> np.ndarray:
    sides, grid_sides = boxes[:, 2:] - boxes[:, :2], grid[:, 2:] - grid[:, :2]
    offsets = (boxes[:, :2] + boxes[:, 2:] - grid[:, :2] - grid[:, 2:]) / 2
    return np.concatenate([offsets / grid_sides, np.log(sides / grid_sides)], axis=1)


def _float32(**arrays: np.ndarray) -> Arrays:
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
