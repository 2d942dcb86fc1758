"""From pictures with a class to a class set: sources, division, and what is wrong with a set."""

import csv
import hashlib
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import io as scipy_io

from roadmark.classification import class_preparation, class_set
from roadmark.classification.class_preparation import Options
from roadmark.errors import UserError
from roadmark.testing import street_data


def _jpeg(number: int, size=(40, 30)) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "jpeg")
    return stream.getvalue()


def _put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _folders(root: Path, per_class: int = 10) -> Path:
    for number in range(2 * per_class):
        _put(root / ("Audi S5", "Ram C_V")[number % 2] / f"{number}.jpg", _jpeg(number))
    return root


def _prepare(tmp_path, format_name, source, **more) -> class_set.ClassSet:
    out = tmp_path / "out"
    class_preparation.prepare(Options(format_name, str(source), out, **more))
    return class_set.load(out)


def _splits(found: class_set.ClassSet) -> Counter:
    return Counter((entry.class_name, entry.split) for entry in found.entries)


def test_a_folder_per_class_is_divided_class_by_class(tmp_path):
    found = _prepare(tmp_path, "class_folders", _folders(tmp_path / "in"))
    assert found.classes == ("Audi S5", "Ram C_V")
    assert _splits(found) == {
        (name, split): count
        for name in found.classes
        for split, count in (("train", 8), ("val", 2))
    }
    for entry in found.entries:
        data = (found.folder / entry.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.sha256


def test_the_division_follows_from_the_seed(tmp_path):
    source = _folders(tmp_path / "in")
    versions = [
        _prepare(tmp_path, "class_folders", source, seed=seed).data_version for seed in (0, 0, 1)
    ]
    assert versions[0] == versions[1] != versions[2]


def test_a_test_part_is_drawn_when_asked_for(tmp_path):
    source = _folders(tmp_path / "in", 12)
    found = _prepare(tmp_path, "class_folders", source, val_fraction=0.17, test_fraction=0.34)
    assert Counter(entry.split for entry in found.entries) == {"train": 12, "val": 4, "test": 8}


@pytest.mark.parametrize("fractions", [(0.0, 0.2), (0.5, 0.5), (-0.1, 0.0)])
def test_shares_that_leave_nothing_are_refused(tmp_path, fractions):
    with pytest.raises(UserError, match="expected shares that leave some to train"):
        _prepare(
            tmp_path, "class_folders", _folders(tmp_path / "in"),
            val_fraction=fractions[0], test_fraction=fractions[1],
        )  # fmt: skip


def test_divided_folders_stay_as_they_are(tmp_path):
    for number, split in enumerate(["train", "train", "valid", "test"] * 2):
        _put(tmp_path / "in" / split / f"class {number // 4}" / f"{number}.png", _jpeg(number))
    found = _prepare(tmp_path, "class_folders", tmp_path / "in")
    assert Counter(entry.split for entry in found.entries) == {"train": 4, "val": 2, "test": 2}


def test_a_csv_names_pictures_classes_and_boxes(tmp_path):
    rows = ["path,class_name,x1,y1,x2,y2,subset"]
    for number in range(8):
        _put(tmp_path / "in" / f"{number}.jpg", _jpeg(number))
        rows.append(f"{number}.jpg,{'ab'[number % 2]},1,2,30,20,{'test' if number > 5 else ''}")
    rows.append("gone.jpg,a,,,,,")
    path = _put(tmp_path / "in" / "cars.csv", "\n".join(rows).encode())
    found = _prepare(tmp_path, "class_csv", path)
    assert {entry.box for entry in found.entries} == {(2.0, 1.0, 20.0, 30.0)}
    assert Counter(entry.split for entry in found.entries) == {"train": 4, "val": 2, "test": 2}
    assert "gone.jpg" in (found.folder / class_set.FINDINGS).read_text()


_BOX_FIELDS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class")


def _mat_annotations(rows, *more) -> np.ndarray:
    names = _BOX_FIELDS + (more or ("fname",))
    made = np.empty((1, len(rows)), [(name, "O") for name in names])
    for number, row in enumerate(rows):
        made[0, number] = row
    return made


def test_stanford_cars_keeps_its_test_part(tmp_path):
    root = tmp_path / "in"
    rows = {"train": [], "test": []}
    for number in range(14):
        kind = "train" if number < 10 else "test"
        _put(root / f"cars_{kind}" / f"{number:05d}.jpg", _jpeg(number))
        rows[kind].append((2, 3, 20, 25, number % 2 + 1, f"{number:05d}.jpg"))
    names = np.empty((1, 2), object)
    names[0, :] = ["Audi S5 2012", "Ram C/V Cargo Van 2012"]
    (root / "devkit").mkdir()
    scipy_io.savemat(root / "devkit" / "cars_meta.mat", {"class_names": names})
    for kind, listed in rows.items():
        path = root / "devkit" / f"cars_{kind}_annos.mat"
        scipy_io.savemat(path, {"annotations": _mat_annotations(listed)})
    found = _prepare(tmp_path, "stanford_cars", root)
    assert found.classes == ("Audi S5 2012", "Ram C/V Cargo Van 2012")
    assert Counter(entry.split for entry in found.entries) == {"train": 8, "val": 2, "test": 4}
    # Corners count from 1 and belong to the box.
    assert {entry.box for entry in found.entries} == {(2.0, 1.0, 25.0, 20.0)}
    assert all(entry.path.count("/") == 2 for entry in found.entries), "C/V made a folder"


def test_stanford_cars_in_one_folder_say_which_pictures_are_for_testing(tmp_path):
    root = tmp_path / "in"
    rows = []
    for number in range(14):
        _put(root / "car_ims" / f"{number:06d}.jpg", _jpeg(number))
        path = f"car_ims/{number:06d}.jpg"
        rows.append((2, 3, 20, 25, number % 2 + 1, path, number >= 10))
    rows.append((2, 3, 20, 25, 1, "car_ims/gone.jpg", False))
    names = np.empty((1, 2), object)
    names[0, :] = ["Audi S5 2012", "Ram C/V Cargo Van 2012"]
    annotations = _mat_annotations(rows, "relative_im_path", "test")
    scipy_io.savemat(root / "cars_annos.mat", {"annotations": annotations, "class_names": names})
    found = _prepare(tmp_path, "stanford_cars", root)
    assert Counter(entry.split for entry in found.entries) == {"train": 8, "val": 2, "test": 4}
    assert {entry.box for entry in found.entries} == {(2.0, 1.0, 25.0, 20.0)}
    assert "car_ims/gone.jpg" in (found.folder / class_set.FINDINGS).read_text()


def test_rendered_cars_have_a_test_part(tmp_path):
    found = _prepare(tmp_path, "synthetic_cars", "", num_images=60)
    assert len(found.classes) == 10
    assert Counter(entry.split for entry in found.entries) == {"train": 40, "val": 10, "test": 10}
    assert all(entry.box is not None for entry in found.entries)


def test_equal_classes_are_told_as_such(tmp_path):
    found = _prepare(tmp_path, "class_folders", _folders(tmp_path / "in"))
    text = (found.folder / class_set.REPORT).read_text()
    assert "no class imbalance: 8 pictures of each class to train" in text


def _broken(root):
    _put(root / "Audi S5" / "0.jpg", _jpeg(0)[:300])


def _not_a_picture(root):
    _put(root / "Audi S5" / "0.jpg", b"<html>404</html>")


def _same_twice(root):
    _put(root / "Audi S5" / "z.jpg", _jpeg(2))


def _two_classes(root):
    _put(root / "Ram C_V" / "z.jpg", _jpeg(2))


@pytest.mark.parametrize(
    ("spoil", "rule", "kept"),
    [
        (_broken, "broken picture", 19),
        (_not_a_picture, "broken picture", 19),
        (_same_twice, "same picture twice", 20),
        (_two_classes, "same picture in two classes", 19),
    ],
    ids=["cut short", "no picture", "twice", "two classes"],
)
def test_a_fault_is_left_out_counted_and_listed(tmp_path, spoil, rule, kept):
    source = _folders(tmp_path / "in")
    spoil(source)
    found = _prepare(tmp_path, "class_folders", source)
    assert len(found.entries) == kept
    assert not list(found.folder.glob(".*")), "left over"
    assert sum(found.about["findings"].values()) == 1
    with open(found.folder / class_set.FINDINGS, newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["rule"].startswith(rule)
    assert f"1 x {rule}" in (found.folder / class_set.REPORT).read_text()
    with pytest.raises(UserError, match=rule):
        _prepare(tmp_path, "class_folders", source, strict=True)


def test_imbalance_is_told(tmp_path):
    source = _folders(tmp_path / "in", 3)
    for number in range(100, 120):
        _put(source / "Audi S5" / f"{number}.jpg", _jpeg(number))
    found = _prepare(tmp_path, "class_folders", source)
    text = (found.folder / class_set.REPORT).read_text()
    assert "class imbalance (train): 9.0, from 2 (Ram C_V) to 18 (Audi S5)" in text
    assert "class_weights: balanced" in text


@pytest.mark.parametrize(
    ("format_name", "file", "content", "given", "says"),
    [
        ("class_folders", "a/1.jpg", _jpeg(1), "none", "no such folder"),
        ("class_folders", "a/x.txt", b"", "", "no pictures"),
        ("class_folders", "a/1.jpg", _jpeg(1), "", "1 classes, expected 2"),
        ("class_csv", "x.csv", b"path,y\n", "x.csv", "x.csv:1: found columns path"),
        ("class_csv", "x.csv", b"path,label\na.jpg,\n", "x.csv", "x.csv:2: found no path"),
        ("class_csv", "x.csv", b"\xff\xfe\x00", "x.csv", "expected CSV in UTF-8"),
        ("stanford_cars", "a/1.jpg", b"", "", "no cars_meta.mat"),
        ("stanford_cars", "cars_meta.mat", b"x" * 200, "", "get a whole copy"),
        ("class_folders", "a/1.jpg", b"", None, "--input: missing"),
    ],
)
def test_a_bad_source_is_one_line_and_leaves_nothing(
    tmp_path, format_name, file, content, given, says
):
    _put(tmp_path / "in" / file, content)
    with pytest.raises(UserError) as error:
        _prepare(tmp_path, format_name, "" if given is None else tmp_path / "in" / given)
    assert says in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (class_set.INDEX, ",train/", ",val/"),
        (class_set.INDEX, "train,", "val,"),
        (class_set.INDEX, "Audi S5,", "Ram C_V,"),
        (class_set.DESCRIPTION, '"schema_version": 1', '"schema_version": 9'),
        (class_set.DESCRIPTION, "{", "["),
    ],
)
def test_an_altered_set_is_refused_unless_only_names_changed(tmp_path, file, old, new):
    folder = _prepare(tmp_path, "class_folders", _folders(tmp_path / "in")).folder
    path = folder / file
    path.write_text(path.read_text().replace(old, new))
    if old == ",train/":
        assert class_set.load(folder).entries
        return
    with pytest.raises(UserError, match="--from=stanford_cars"):
        class_set.load(folder)


def test_real_stanford_cars_are_already_cut_at_their_boxes(tmp_path):
    found = _prepare(tmp_path, "stanford_cars", street_data.folder("stanford_cars"))
    assert Counter(entry.split for entry in found.entries) == {"train": 100, "val": 20}
    (cut,) = (n for rule, n in found.about["findings"].items() if "cut at its box" in rule)
    assert cut == 120
