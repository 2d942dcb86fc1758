"""The sheet of inputs shows the pixels before normalisation, and the boxes of the batch."""

import numpy as np
from PIL import Image

from roadmark.training import input_sheet

_MEAN, _SCALE = (100.0, 120.0, 140.0), (0.5, 0.25, 0.125)


def _batch(colour, boxes, masks=None):
    picture = (np.full((1, 120, 160, 3), colour, np.float32) - _MEAN) * _SCALE
    padded = np.zeros((1, 5, 4), np.float32)
    padded[0, : len(boxes)] = np.reshape(boxes, (-1, 4))
    classes = np.tile(np.array([0, 1], np.float32), (1, 5, 1))
    labels = {
        "groundtruth_boxes": padded,
        "groundtruth_classes": classes,
        "num_groundtruth_boxes": np.array([len(boxes)]),
    }
    if masks is not None:
        labels["groundtruth_instance_masks"] = masks
    return {"image": picture.astype(np.float32)}, labels


def _write(tmp_path, batches, count):
    path = tmp_path / "inputs.jpg"
    input_sheet.write(batches, 7, (_MEAN, _SCALE), {2: "car"}, path, count)
    return np.asarray(Image.open(path)).astype(int)


def test_pixels_are_shown_as_they_were_before_normalisation(tmp_path):
    sheet = _write(tmp_path, [_batch((200, 40, 90), []), _batch((10, 220, 30), [])], 2)
    assert np.abs(sheet[60, 240] - (200, 40, 90)).max() <= 6
    assert np.abs(sheet[60, 720] - (10, 220, 30)).max() <= 6


def test_no_more_than_asked_for_is_read(tmp_path):
    def batches():
        yield _batch((0, 0, 0), [])
        yield _batch((0, 0, 0), [])
        raise AssertionError("a third batch was read")

    _write(tmp_path, batches(), 2)


def test_boxes_are_drawn_and_padding_is_not(tmp_path):
    plain = _write(tmp_path, [_batch((90, 90, 90), [])], 1)
    boxed = _write(tmp_path, [_batch((90, 90, 90), [[0.25, 0.25, 0.75, 0.75]])], 1)
    rows, columns = np.nonzero(np.abs(boxed - plain)[:118].max(-1) > 40)
    # The picture of 160 pixels stands in the middle of a cell of 480.
    assert (columns.min() >= 160 + 38, columns.max() <= 160 + 122) == (True, True)
    assert rows.max() <= 92


def test_masks_are_blended(tmp_path):
    masks = np.zeros((1, 5, 120, 160), np.float32)
    masks[0, 0, 40:80, 60:100] = 1
    batch = _batch((90, 90, 90), [[0.1, 0.1, 0.9, 0.9]], masks)
    sheet = _write(tmp_path, [batch], 1)
    assert np.abs(sheet[60, 160 + 80] - 90).max() > 10
    assert np.abs(sheet[60, 160 + 40] - 90).max() <= 6
