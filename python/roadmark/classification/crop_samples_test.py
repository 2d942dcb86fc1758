"""The sheet of crops: which pictures are on it, and that they and their boxes are in place."""

import numpy as np
import pytest
from PIL import Image

from roadmark.classification import crop_samples
from roadmark.classification.crop_samples import Sample


@pytest.mark.parametrize(
    ("counts", "chosen"),
    [
        ({"car": 100}, {"car": 12}),
        ({"car": 100, "low": 2}, {"car": 10, "low": 2}),
        ({"car": 100, "low": 50, "none": 30}, {"car": 4, "low": 4, "none": 4}),
        ({"car": 3}, {"car": 3}),
    ],
    ids=["one kind", "few of a kind", "three kinds", "few pictures"],
)
def test_every_outcome_is_shown(counts, chosen):
    outcomes = [outcome for outcome, count in counts.items() for _ in range(count)]
    indices = crop_samples.choose(outcomes)
    assert len(set(indices)) == len(indices)
    assert {kind: [outcomes[n] for n in indices].count(kind) for kind in counts} == chosen


def test_the_sheet_shows_each_picture_before_and_after(tmp_path):
    Image.new("RGB", (480, 360), (0, 0, 200)).save(tmp_path / "before.png")
    Image.new("RGB", (80, 60), (0, 200, 0)).save(tmp_path / "after.png")
    sample = Sample(
        tmp_path / "before.png", tmp_path / "after.png", (80.0, 100.0, 200.0, 300.0), "car", 0.9
    )
    crop_samples.write([sample] * 3, tmp_path / crop_samples.FILE)
    with Image.open(tmp_path / crop_samples.FILE) as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert pixels.shape == (2 * 198, 2 * 488 + 8, 3)
    # Half as large as it is: a side of the box goes through (40, 100).
    assert pixels[40, 100, 0] > 150
    assert abs(pixels[20, 100] - (0, 0, 200)).max() < 20
    assert abs(pixels[90, 360] - (0, 200, 0)).max() < 20
