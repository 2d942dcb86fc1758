import collections
import json

import numpy as np
import pytest
from PIL import Image

from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.video import annotate_images
from roadmark.video.annotate_images import SUFFIXES, read_image

_NAMES = {1: "thing"}


def one_in_the_middle(images):
    found = []
    for image in images:
        height, width = image.shape[:2]
        box = np.array([[height / 4, width / 4, height * 3 / 4, width * 3 / 4]], np.float32)
        found.append(Detections(box, np.array([0.9], np.float32), np.array([1], np.int32)))
    return found


def picture(height=60, width=90):
    ramp = np.linspace(0, 255, width)[None, :, None] * np.ones((height, 1, 3))
    ramp[: height // 2, :, 2] = 0
    return ramp.astype(np.uint8)


def save(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture() if image is None else image).save(path, **options)
    return path


def names_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("batch_size", [1, 4])
def test_folder_is_written_with_the_same_names(tmp_path, batch_size):
    source, out = tmp_path / "in", tmp_path / "out"
    for index, suffix in enumerate(SUFFIXES):
        save(source / f"{index}{suffix}", picture(60 + index, 90))
    save(source / "deeper" / "a.PNG")
    save(source / ".hidden" / "a.png")
    (source / "notes.txt").write_text("not a picture")
    listing = tmp_path / "out.json"
    result = annotate_images(source, out, one_in_the_middle, _NAMES, listing, batch_size)
    expected = [f"{index}{suffix}" for index, suffix in enumerate(SUFFIXES)] + ["deeper/a.PNG"]
    assert names_in(out) == sorted(expected)
    assert result.images == len(expected)
    assert result.objects == collections.Counter(thing=len(expected))
    for name in expected:
        before, after = read_image(source / name), read_image(out / name)
        assert before.shape == after.shape
        assert (np.abs(before.astype(int) - after).max(axis=2) > 60).any(), name
    written = json.loads(listing.read_text())
    assert [image["file_name"] for image in written["images"]] == sorted(expected)
    sizes = {image["file_name"]: image["height"] for image in written["images"]}
    assert sizes["3.png"] == 63


def test_what_an_earlier_run_wrote_is_not_annotated_again(tmp_path):
    save(tmp_path / "a.png")
    for _ in range(2):
        annotate_images(tmp_path, tmp_path / "out", one_in_the_middle, _NAMES)
    assert names_in(tmp_path) == ["a.png", "out/a.png"]


def test_one_picture(tmp_path):
    source = save(tmp_path / "a.png")
    annotate_images(source, tmp_path / "b.jpg", one_in_the_middle, _NAMES, tmp_path / "b.csv")
    assert names_in(tmp_path) == ["a.png", "b.csv", "b.jpg"]
    assert Image.open(tmp_path / "b.jpg").size == (90, 60)
    assert (tmp_path / "b.csv").read_text().splitlines()[1].startswith("a.png,")


def test_exif_orientation_is_honoured(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # To be shown turned by 90 degrees clockwise.
    source = save(tmp_path / "a.png", exif=exif)
    annotate_images(source, tmp_path / "b.png", lambda i: [Detections.empty()] * len(i), _NAMES)
    with Image.open(tmp_path / "b.png") as written:
        assert written.getexif().get(0x0112, 1) == 1
        np.testing.assert_array_equal(np.asarray(written), np.rot90(picture(), -1))


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(picture()).quantize(256),
        Image.fromarray(picture()).convert("RGBA"),
        Image.fromarray(picture()).convert("CMYK"),
        Image.fromarray(picture()[..., 0]),
        Image.fromarray(picture()[..., 0].astype(np.uint16) * 257),
    ],
    ids=["palette", "alpha", "CMYK", "grey", "16 bit grey"],
)
def test_every_kind_of_pixel_becomes_rgb(tmp_path, image):
    path = tmp_path / ("a.tif" if image.mode in ("CMYK", "I;16") else "a.png")
    image.save(path)
    read = read_image(path)
    assert (read.shape, read.dtype) == ((60, 90, 3), np.uint8)
    assert np.abs(read[..., 0].astype(int) - picture()[..., 0]).mean() < 8


def test_unreadable_pictures_are_named_and_the_others_written(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    save(source / "a.jpg")
    save(source / "d.jpg")
    (source / "b.jpg").write_bytes(b"not a picture")
    (source / "c.jpg").write_bytes((source / "a.jpg").read_bytes()[:400])
    with pytest.raises(UserError) as caught:
        annotate_images(source, out, one_in_the_middle, _NAMES, tmp_path / "out.json")
    line = str(caught.value)
    assert "2 of 4 pictures could not be read: b.jpg is not a picture, c.jpg cannot be" in line
    assert f"the others are in {out}" in line
    assert "\n" not in line
    assert names_in(out) == ["a.jpg", "d.jpg"]
    assert len(json.loads((tmp_path / "out.json").read_text())["images"]) == 2


def test_many_unreadable_pictures_make_a_short_line(tmp_path):
    for index in range(9):
        (tmp_path / f"{index}.png").write_bytes(b"no")
    with pytest.raises(UserError, match=r"9 of 9 .* 4\.png is not a picture and 4 more; replace"):
        annotate_images(tmp_path, tmp_path / "out", one_in_the_middle, _NAMES)


def test_interruption_leaves_whole_pictures_only(tmp_path):
    for index in range(4):
        save(tmp_path / "in" / f"{index}.jpg")
    calls = []

    def stop_at_the_third(images):
        calls.append(images)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return one_in_the_middle(images)

    with pytest.raises(KeyboardInterrupt):
        annotate_images(
            tmp_path / "in", tmp_path / "out", stop_at_the_third, _NAMES, tmp_path / "o.json"
        )
    assert names_in(tmp_path / "out") == ["0.jpg", "1.jpg"]
    assert not (tmp_path / "o.json").exists()
    part = json.loads((tmp_path / "o.partial.json").read_text())
    assert [image["file_name"] for image in part["images"]] == ["0.jpg", "1.jpg"]


@pytest.mark.parametrize(
    ("source", "out", "says"),
    [
        ("none", "out", "no such folder or picture"),
        ("empty", "out", "holds no pictures"),
        ("a.mp4", "out", "give a video as --video="),
        ("a.png", "out.mp4", "is not the name of a picture"),
        ("a.png", "a.png", "would replace the pictures themselves"),
        ("in", "in", "would replace the pictures themselves"),
        ("in", "a.png/out", "cannot be written"),
    ],
)
def test_wrong_names_are_one_line(tmp_path, source, out, says):
    save(tmp_path / "a.png")
    save(tmp_path / "in" / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.mp4").touch()
    before = names_in(tmp_path)
    with pytest.raises(UserError, match=says) as caught:
        annotate_images(tmp_path / source, tmp_path / out, one_in_the_middle, _NAMES)
    assert "\n" not in str(caught.value)
    assert names_in(tmp_path) == before
