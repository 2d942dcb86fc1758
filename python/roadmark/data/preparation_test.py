"""The whole of prepare and of its check, on small sets written here."""

import errno
import json

import numpy as np
import pytest
from PIL import Image

from roadmark.data import checking, example, preparation, records, tfrecord
from roadmark.data.findings import Rule
from roadmark.data.formats import registry
from roadmark.data.formats.request import Request
from roadmark.data.preparation import Options
from roadmark.errors import UserError
from roadmark.odapi import label_map
from roadmark.testing import pictures, small_records

LINES = "0 0.5 0.5 0.2 0.2\n1 0.3 0.3 0.1 0.4\n"


@pytest.fixture
def yolo_set(tmp_path):
    """Ten good pictures with two objects each."""
    folder = tmp_path / "set"
    for number in range(10):
        pictures.write(folder / f"images/{number}.jpg")
        (folder / "labels").mkdir(exist_ok=True)
        (folder / f"labels/{number}.txt").write_text(LINES)
    (folder / "data.yaml").write_text("names: [person, car]")
    return folder


def _options(folder, out, **changes):
    request = Request(str(folder), label_map=changes.pop("label_map", None))
    return Options(request, out=out, **changes)


def _read(pattern):
    frames = (frame for path in records.match(pattern) for frame in tfrecord.scan(path))
    return [example.parse(tfrecord.intact(frame), frame.where) for frame in frames]


def _listing(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_writes_shards_label_map_card_findings_and_samples(yolo_set, tmp_path):
    prepared = preparation.prepare(_options(yolo_set, tmp_path / "out"))
    assert sorted(_listing(tmp_path / "out")) == [
        "dataset_card.json",
        "dataset_card.txt",
        "findings.csv",
        "label_map.pbtxt",
        "samples.jpg",
        "train-00000-of-00001.tfrecord",
        "val-00000-of-00001.tfrecord",
    ]
    assert label_map.load(tmp_path / "out/label_map.pbtxt").names == {1: "person", 2: "car"}
    train = _read(f"{tmp_path}/out/train-*")
    assert len(train) == 8
    assert train[0].class_ids.tolist() == [1, 2]
    np.testing.assert_allclose(train[0].boxes[0], [0.4, 0.4, 0.6, 0.6], rtol=1e-6)
    card = json.loads((tmp_path / "out/dataset_card.json").read_text())
    assert card == prepared.card
    assert card["splits"]["train"]["classes"]["car"] == {"objects": 8, "images": 8}
    # 16 x 12 and 8 x 24 pixels: both roots lie between 12 and 16.
    assert card["splits"]["val"]["size_histogram"]["12-16"] == 4
    assert card["splits"]["val"]["coco_sizes"] == {"small": 4, "medium": 0, "large": 0}
    assert "   2  car  (was 1)" in prepared.text
    with Image.open(tmp_path / "out/samples.jpg") as sheet:
        assert sheet.width == 3 * 480


def test_equal_seeds_give_equal_bytes(yolo_set, tmp_path):
    for name, seed in (("one", 4), ("two", 4), ("three", 5)):
        preparation.prepare(_options(yolo_set, tmp_path / name, seed=seed))
    one, two, three = (_listing(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert one["val-00000-of-00001.tfrecord"] != three["val-00000-of-00001.tfrecord"]


def test_a_given_label_map_keeps_its_ids_and_drops_other_classes(yolo_set, tmp_path):
    chosen = label_map.LabelMap.of({4: "car", 9: "bus"})
    prepared = preparation.prepare(_options(yolo_set, tmp_path / "out", label_map=chosen))
    assert label_map.load(tmp_path / "out/label_map.pbtxt").names == {4: "car", 9: "bus"}
    found = {i for image in _read(f"{tmp_path}/out/*.tfrecord") for i in image.class_ids.tolist()}
    assert found == {4}
    assert prepared.card["findings"]["unknown_class"]["count"] == 10


def _break(folder):
    (folder / "images/0.jpg").write_bytes(b"not a picture")
    (folder / "labels/1.txt").write_text(
        "0 0.5 0.5 0.2 0.2\n0 0.99 0.5 0.2 0.2\n9 0.5 0.5 0.2 0.2\n"
    )
    (folder / "images/3.jpg").write_bytes((folder / "images/2.jpg").read_bytes())


def test_every_drop_and_fix_is_on_the_card_in_the_text_and_in_the_table(yolo_set, tmp_path):
    _break(yolo_set)
    prepared = preparation.prepare(_options(yolo_set, tmp_path / "out"))
    counts = {rule: found["count"] for rule, found in prepared.card["findings"].items()}
    assert counts == {
        "unreadable_image": 1,
        "identical_image": 1,
        "unknown_class": 1,
        "clip_to_image": 1,
    }
    assert "dropped: 1 x unreadable_image" in prepared.text
    assert "fixed: 1 x clip_to_image" in prepared.text
    rows = (tmp_path / "out/findings.csv").read_text().splitlines()
    assert rows[0] == "rule,action,where,found"
    assert len(rows) == 5
    assert any(
        row.startswith(f"clip_to_image,fixed,{yolo_set}/labels/1.txt: line 2") for row in rows
    )
    splits = prepared.card["splits"]
    assert splits["train"]["images"] + splits["val"]["images"] == 9


def test_strict_refuses_and_leaves_nothing(yolo_set, tmp_path):
    _break(yolo_set)
    with pytest.raises(UserError) as error:
        preparation.prepare(_options(yolo_set, tmp_path / "out", strict=True))
    assert "3 faults, nothing written" in str(error.value)
    assert "unreadable_image" in str(error.value)
    assert "labels/1.txt: line 2" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_strict_accepts_a_set_without_faults(yolo_set, tmp_path):
    preparation.prepare(_options(yolo_set, tmp_path / "out", strict=True))
    assert (tmp_path / "out/dataset_card.json").is_file()


def test_a_failed_run_leaves_the_records_of_the_last_one(yolo_set, tmp_path):
    preparation.prepare(_options(yolo_set, tmp_path / "out"))
    before = _listing(tmp_path / "out")
    _break(yolo_set)
    with pytest.raises(UserError):
        preparation.prepare(_options(yolo_set, tmp_path / "out", strict=True))
    assert _listing(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_a_full_disk_leaves_nothing_half_written(yolo_set, tmp_path, monkeypatch):
    written = []

    def fail(self, record):
        written.append(record)
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tfrecord.RecordWriter, "write", fail)
    with pytest.raises(OSError, match="No space left"):
        preparation.prepare(_options(yolo_set, tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        pytest.param(lambda out: (out / "thesis.docx").touch(), "holds 'thesis.docx'", id="others"),
        pytest.param(lambda out: (out / "images").mkdir(), "holds 'images'", id="folder"),
        pytest.param(
            lambda out: (out / "train-00000-of-00001.tfrecord").touch(),
            "holds 'train-00000-of-00001.tfrecord'",
            id="shards-without-a-card",
        ),
        pytest.param(
            lambda out: (out / "dataset_card.json").write_text('{"name": "theirs"}'),
            "holds 'dataset_card.json'",
            id="card-of-another-tool",
        ),
    ],
)
def test_a_folder_with_other_files_is_not_replaced(yolo_set, tmp_path, make, problem):
    (tmp_path / "out").mkdir()
    make(tmp_path / "out")
    with pytest.raises(UserError, match=problem):
        preparation.prepare(_options(yolo_set, tmp_path / "out"))
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_drive_among_prepared_records_is_not_removed(yolo_set, tmp_path):
    preparation.prepare(_options(yolo_set, tmp_path / "out"))
    (tmp_path / "out/drive_0042.tfrecord").write_bytes(b"precious")
    with pytest.raises(UserError, match=r"holds 'drive_0042\.tfrecord'"):
        preparation.prepare(_options(yolo_set, tmp_path / "out"))
    assert (tmp_path / "out/drive_0042.tfrecord").read_bytes() == b"precious"


def test_prepared_records_are_found_out_as_records(yolo_set, tmp_path):
    preparation.prepare(_options(yolo_set, tmp_path / "out"))
    assert registry.detect(tmp_path / "out") == "tfrecord"


def test_prepared_records_are_replaced(yolo_set, tmp_path):
    preparation.prepare(_options(yolo_set, tmp_path / "out", seed=4))
    prepared = preparation.prepare(_options(yolo_set, tmp_path / "out", seed=5))
    assert json.loads((tmp_path / "out/dataset_card.json").read_text()) == prepared.card


def test_a_file_is_not_replaced(yolo_set, tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(UserError, match="out: a file, expected a folder"):
        preparation.prepare(_options(yolo_set, tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "precious"


def test_records_are_not_written_over_their_source(tmp_path):
    folder = small_records.write(tmp_path / "records")
    with pytest.raises(UserError, match="the data set is in the folder to be replaced"):
        preparation.prepare(_options(folder, folder))
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0])
def test_a_share_that_is_none(yolo_set, tmp_path, share):
    with pytest.raises(UserError, match="expected a share between 0 and 1"):
        preparation.prepare(_options(yolo_set, tmp_path / "out", val_fraction=share))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        preparation.prepare(_options(tmp_path / "nowhere", tmp_path / "out"))


def test_a_set_of_which_nothing_is_left_names_the_first_reason(yolo_set, tmp_path):
    for path in (yolo_set / "labels").iterdir():
        path.write_text("0 5 5 0.1 0.1\n")
    with pytest.raises(UserError) as error:
        preparation.prepare(_options(yolo_set, tmp_path / "out"))
    assert "no object left for train; first dropped: " in str(error.value)
    assert not (tmp_path / "out").exists()


def test_many_pictures_are_judged_in_several_processes_alike(tmp_path):
    folder = small_records.write(tmp_path / "records", count=104, shards=1)
    preparation.prepare(_options(folder, tmp_path / "out"))
    assert len(records.match(f"{tmp_path}/out/train-*")) == 1
    found = _read(f"{tmp_path}/out/*.tfrecord")
    encoded = {image.filename: image.encoded for image in found}
    assert encoded == {f"{n}.png": small_records.picture(n).encoded for n in range(104)}


def test_masks_go_through(tmp_path):
    folder = small_records.write(tmp_path / "records", masks=True)
    preparation.prepare(_options(folder, tmp_path / "out"))
    for image in _read(f"{tmp_path}/out/*.tfrecord"):
        original = small_records.picture(int(image.filename[:-4]), masks=True)
        assert len(image.masks) == len(original)


def test_rendered_scenes(tmp_path):
    request = Request(num_images=4, seed=2)
    prepared = preparation.prepare(Options(request, "synthetic", out=tmp_path / "out"))
    assert prepared.card["findings"] == {}
    assert [entry["name"] for entry in prepared.card["classes"]] == [
        "vehicle",
        "pedestrian",
        "cyclist",
    ]
    images = _read(f"{tmp_path}/out/*.tfrecord")
    assert len(images) == 4
    assert all(len(image.masks) == len(image) >= 3 for image in images)


def test_check_of_good_records(tmp_path):
    folder = small_records.write(tmp_path)
    checked = checking.check(f"{folder}/*.tfrecord", None, None)
    assert checked.text == "2 files, 6 annotated pictures\nnothing wrong\n"
    assert not checked.is_bad(strict=True)


def _wide(image):
    boxes = image.boxes.copy()
    boxes[0, 3] = 1.5
    return example.AnnotatedImage(**{**vars(image), "boxes": boxes})


def _no_picture(image):
    return example.AnnotatedImage(**{**vars(image), "encoded": b"no picture"})


@pytest.mark.parametrize(
    ("change", "num_classes", "rule", "bad"),
    [
        pytest.param(_wide, None, Rule.CLIP_TO_IMAGE, False, id="what-can-be-fixed-is-a-warning"),
        pytest.param(_no_picture, None, Rule.UNREADABLE_IMAGE, True, id="no-picture"),
        pytest.param(lambda i: i, 2, Rule.BEYOND_NUM_CLASSES, True, id="id-above-num_classes"),
    ],
)
def test_check_of_bad_records(tmp_path, change, num_classes, rule, bad):
    folder = small_records.write(tmp_path, change=change)
    checked = checking.check(f"{folder}/*.tfrecord", None, num_classes)
    assert rule in checked.ledger.counts()
    assert f"{folder}/train-00000-of-00002.tfrecord: record " in checked.text
    assert checked.is_bad(strict=False) is bad
    assert checked.is_bad(strict=True)


def test_check_of_a_truncated_file(tmp_path):
    folder = small_records.write(tmp_path, shards=1)
    file = folder / "train-00000-of-00001.tfrecord"
    file.write_bytes(file.read_bytes()[:-1])
    checked = checking.check(str(file), None, None)
    assert f"{file}: record 5 (byte " in checked.text
    assert checked.is_bad(strict=False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "id 1 is given to two", id="twice"
        ),
        pytest.param("item { id: 1 name: 'vehicle' }", None, id="ids-missing"),
    ],
)
def test_check_against_a_bad_label_map(tmp_path, text, problem):
    folder = small_records.write(tmp_path / "records")
    (tmp_path / "map.pbtxt").write_text(text)
    pattern = f"{folder}/*.tfrecord"
    if problem:
        with pytest.raises(UserError, match=problem):
            checking.check(pattern, str(tmp_path / "map.pbtxt"), None)
    else:
        checked = checking.check(pattern, str(tmp_path / "map.pbtxt"), None)
        assert "unknown_class" in checked.text
        assert checked.is_bad(strict=False)


def test_check_of_a_glob_that_matches_nothing(tmp_path):
    with pytest.raises(UserError, match="no records match"):
        checking.check(f"{tmp_path}/*", None, None)
