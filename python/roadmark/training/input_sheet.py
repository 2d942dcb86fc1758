"""A sheet of what the network really sees: decoded, augmented, resized, with the boxes it gets."""

import io
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from roadmark.data import sample_sheet
from roadmark.data.example import AnnotatedImage

Batch = Mapping[str, np.ndarray]


def write(
    batches: Iterable[tuple[Batch, Batch]],
    first_step: int,
    normalisation: tuple[tuple[float, ...], tuple[float, ...]],
    names: Mapping[int, str],
    path: Path,
    count: int,
) -> None:
    """Writes the sheet.

    Args:
        batches: Features and labels of one training step after another, as
            `object_detection.inputs.train_input` documents them, as NumPy arrays.
        first_step: The first batch's step, counted from 1.
        normalisation: Mean and scale of each channel: what was `(pixel - mean) * scale`'d.
        names: Class name by label map id.
        path: A .jpg file.
        count: Pictures to draw.
    """
    samples = (
        (f"step {step}", _picture(features, labels, index, normalisation, names))
        for step, (features, labels) in enumerate(batches, start=first_step)
        for index in range(len(features["image"]))
    )
    sample_sheet.write(list(itertools.islice(samples, count)), path)


def _picture(
    features: Batch,
    labels: Batch,
    index: int,
    normalisation: tuple[tuple[float, ...], tuple[float, ...]],
    names: Mapping[int, str],
) -> AnnotatedImage:
    mean, scale = (np.array(values, np.float32) for values in normalisation)
    pixels = features["image"][index] / scale + mean
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    count = int(labels["num_groundtruth_boxes"][index])
    class_ids = labels["groundtruth_classes"][index, :count].argmax(-1).astype(np.int64) + 1
    masks = labels.get("groundtruth_instance_masks")
    return AnnotatedImage(
        filename=f"image {index + 1} of {len(features['image'])}",
        encoded=_png(pixels),
        format="png",
        height=pixels.shape[0],
        width=pixels.shape[1],
        boxes=labels["groundtruth_boxes"][index, :count],
        class_ids=class_ids,
        class_names=tuple(names.get(int(number), f"class {number}") for number in class_ids),
        is_crowd=np.zeros(count, bool),
        difficult=np.zeros(count, bool),
        areas=np.zeros(count, np.float32),
        masks=None
        if masks is None
        else tuple(_png(mask.astype(np.uint8)) for mask in masks[index, :count]),
    )


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
