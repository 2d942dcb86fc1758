from pathlib import Path

import av
import numpy as np
import pytest

from roadmark.errors import UserError
from roadmark.ops import annotate
from roadmark.testing import clips
from roadmark.video import side_by_side, yuv_frame
from roadmark.video.frame_pool import FramePool
from roadmark.video.reader import VideoReader


@pytest.mark.parametrize("size", [(96, 64), (95, 63)], ids=["even", "odd"])
def test_both_halves_are_the_picture(tmp_path, size):
    clip = clips.make(tmp_path / "a.mkv", size=size, codec="ffv1")
    with VideoReader(clip) as reader:
        frame = reader.first_frame
        wide = side_by_side.twice(frame, FramePool())
        info = side_by_side.info(reader.info)
        assert (wide.width, wide.height) == (info.width, info.height) == (192, size[1])
        for number in (0, 1):
            for half, plane in zip(
                side_by_side.side(wide, number, size[0]),
                yuv_frame.planes(frame.yuv),
                strict=True,
            ):
                np.testing.assert_array_equal(half, plane)
        # No column is left as it happened to be.
        luma = yuv_frame.planes(wide)[0].astype(int)
        assert np.abs(np.diff(luma[:, [size[0] - 1, 95]], axis=1)).max() == 0
        assert wide.colorspace == frame.yuv.colorspace


def test_what_is_drawn_on_one_half_does_not_show_in_the_other(tmp_path):
    with VideoReader(clips.make(tmp_path / "a.mp4")) as reader:
        frame = reader.first_frame
        wide = side_by_side.twice(frame, FramePool())
        before = [plane.copy() for plane in side_by_side.side(wide, 0, 96)]
        right = side_by_side.side(wide, 1, 96)
        side_by_side.draw_title(annotate.Yuv420(right, annotate.BT601), "second")
        for old, new in zip(before, side_by_side.side(wide, 0, 96), strict=True):
            np.testing.assert_array_equal(new, old)
        changed = np.argwhere(side_by_side.side(wide, 1, 96)[0] != before[0])
        assert len(changed) > 100
        assert changed[:, 0].min() > 32, "in the lower corner"


def test_titles_tell_the_models_apart():
    titles = side_by_side.titles
    assert titles(Path("runs/a/export"), Path("runs/b/export")) == ("a", "b")
    assert titles(Path("models/a"), Path("runs/b/export")) == ("a", "b")
    assert titles(Path("x/a/export"), Path("y/a/export")) == ("x/a/export", "y/a/export")


def test_classes_that_only_the_first_model_knows_are_left_out():
    names = {1: "car", 2: "bus"}
    assert side_by_side.classes(names, []) == []
    assert side_by_side.classes(names, ["bus", "tram"]) == [2]
    with pytest.raises(UserError, match="found 'tram'; this model knows: bus, car"):
        side_by_side.classes(names, ["tram"])


def test_frames_of_both_sizes_are_used_again(tmp_path):
    pool = FramePool()
    with VideoReader(clips.make(tmp_path / "a.mp4"), pool) as reader:
        wide = side_by_side.twice(reader.first_frame, pool)
        pool.give_back(wide)
        assert side_by_side.twice(reader.first_frame, pool).planes[0].buffer_ptr == (
            wide.planes[0].buffer_ptr
        )
    assert isinstance(wide, av.VideoFrame)
