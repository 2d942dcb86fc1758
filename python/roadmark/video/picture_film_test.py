from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from roadmark.errors import UserError
from roadmark.testing import clips
from roadmark.video.reader import Frame, VideoReader

_SIZE = (96, 64)


def write(folder, *names):
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        Image.fromarray(clips.picture(index, _SIZE)).save(folder / name)
    return folder


def read(source, fps=None):
    with VideoReader(source, fps=fps) as reader:
        frames = [item for item in reader if isinstance(item, Frame)]
    assert reader.stopped is None
    return reader, frames


def shows(frame, number):
    return np.abs(frame.image.astype(int) - clips.picture(number, _SIZE)).mean() < 8


@pytest.mark.parametrize(
    ("names", "source"),
    [
        ([f"{number:05d}.png" for number in range(12)], "."),
        ([f"{number:05d}.jpg" for number in range(12)], "%05d.jpg"),
        ([f"street_{number}.png" for number in range(95, 107)], "street_%d.png"),
        ([f"{letter}.png" for letter in "abcdefghijkl"], "."),
    ],
    ids=["folder", "pattern", "numbers that do not begin at 0", "names without numbers"],
)
def test_pictures_are_a_film_in_their_order(tmp_path, names, source):
    # A folder whose name FFmpeg could take for a pattern.
    folder = write(tmp_path / "a[1]*?", *names)
    reader, frames = read(folder / source, fps=10)
    assert len(frames) == reader.info.frames == 12
    assert all(shows(frame, number) for number, frame in enumerate(frames))
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(12) / 10)


def test_rate_is_25_unless_said_otherwise(tmp_path):
    folder = write(tmp_path / "a", "1.png", "2.png")
    assert read(folder)[0].info.rate == 25
    for fps, rate in ((29.97, clips.NTSC), (23.98, Fraction(24000, 1001)), (10, 10), (0.5, 0.5)):
        assert read(folder, fps=fps)[0].info.rate == rate


@pytest.mark.parametrize(
    ("names", "source", "says"),
    [
        (["a.txt"], ".", "holds no pictures"),
        (["1.png", "2.jpg"], ".", r"holds \.jpg and \.png; give a folder with pictures of one"),
        (["9.png", "10.png"], ".", "the order is not clear: 9.png or 10.png first"),
        (["1.png"], "%05d.jpg", "no picture has such a name"),
        (["1.png"], "%05d.png", "1.png: does not fit the pattern, which says 00001.png"),
        (["001.png", "003.png"], "%03d.png", "002.png: is missing between 001.png and 003.png"),
        (["1.png"], "none/%d.png", "none: no such folder"),
    ],
)
def test_what_is_no_film_is_one_line(tmp_path, names, source, says):
    write(tmp_path / "a", *(name for name in names if not name.endswith(".txt")))
    with pytest.raises(UserError, match=says) as caught:
        VideoReader(tmp_path / "a" / source)
    assert "\n" not in str(caught.value)


def test_video_has_a_rate_of_its_own(tmp_path):
    clip = clips.make(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"--fps: .*a\.mp4 has a rate of its own; leave --fps out"):
        VideoReader(clip, fps=10)


def test_picture_of_another_size_ends_the_film(tmp_path):
    folder = write(tmp_path / "a", "1.png", "2.png", "3.png")
    Image.fromarray(clips.picture(0, (64, 64))).save(folder / "3.png")
    with VideoReader(folder) as reader:
        assert sum(1 for _ in reader) == 2
    assert reader.stopped == "the frames change from 96x64 to 64x64 pixels"


def test_picture_that_cannot_be_read_is_skipped_and_counted(tmp_path):
    folder = write(tmp_path / "a", *(f"{number}.png" for number in range(5)))
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:40])
    reader, frames = read(folder)
    assert (len(frames), reader.skipped) == (4, 1)
    assert shows(frames[2], 3)
