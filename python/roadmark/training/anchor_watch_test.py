"""That no anchor is matched is told, with the sizes of boxes and anchors; needs no TensorFlow."""

from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.odapi import pipeline_config
from roadmark.testing import small_records
from roadmark.training import record_index
from roadmark.training.anchor_watch import BATCHES, AnchorWatch

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "quickstart.config"
UNMATCHED = {"localization_loss": 0.0, "boxes_per_image": 2.0}
MATCHED = UNMATCHED | {"localization_loss": 0.1}
EMPTY = UNMATCHED | {"boxes_per_image": 0.0}


@pytest.fixture
def watch(tmp_path) -> AnchorWatch:
    folder = small_records.write(tmp_path, count=4)
    _, contents = record_index.build(sorted(folder.glob("train-*")), 100)
    return AnchorWatch(pipeline_config.load(CONFIG), contents)


def test_batches_in_a_row_without_a_match_end_the_run(watch):
    watch.add(BATCHES - 1, [UNMATCHED] * (BATCHES - 1))
    with pytest.raises(UserError) as raised:
        watch.add(BATCHES + 5, [UNMATCHED] * 6)
    assert str(raised.value).startswith(f"training step {BATCHES}: in {BATCHES} batches in a row")
    # Anchors of level 3 to 6 with scale 1.5 and two scales to an octave; the network is 256 x 384.
    assert "that of an anchor's 12 to 136" in str(raised.value)
    assert "pixels of the network's input (90% of them" in str(raised.value)


@pytest.mark.parametrize("between", [MATCHED, {}], ids=["a match", "no such loss"])
def test_a_match_starts_the_count_anew(watch, between):
    steps = ([UNMATCHED] * (BATCHES - 1) + [between]) * 3
    if between is MATCHED:
        watch.add(len(steps), steps)
        return
    with pytest.raises(UserError):
        watch.add(len(steps), steps)


def test_batches_without_boxes_tell_nothing(watch):
    watch.add(3 * BATCHES, [EMPTY] * (3 * BATCHES))
