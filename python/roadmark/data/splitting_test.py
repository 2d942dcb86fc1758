"""Splits: kept, drawn by group, balanced, repeatable."""

from pathlib import Path

import pytest

from roadmark.data import layout, splitting
from roadmark.data.findings import Ledger, Rule
from roadmark.data.source import SourceObject, Units, of_file
from roadmark.errors import UserError


def _image(name, *, split=None, group=None, classes=("car",)):
    objects = tuple(SourceObject((0, 0, 1, 1), c, "") for c in classes)
    path = Path(name)
    return of_file(path, name, "", objects, units=Units.PIXELS, split=split, group=group or name)


def _split(images, fraction=0.2, seed=0, group_by=None, ledger=None):
    splits, how = splitting.split(images, fraction, seed, group_by, ledger or Ledger())
    return {name: [image.name for image in members] for name, members in splits.items()}, how


def test_an_existing_division_is_kept():
    images = [_image("a", split="train"), _image("b", split="val"), _image("c", split="test")]
    assert _split(images) == (
        {"train": ["a"], "val": ["b"], "test": ["c"]},
        "split: as the set has it",
    )


def test_pictures_of_no_known_split_train_and_are_counted():
    images = [_image("a", split="train"), _image("b", split="val"), _image("c"), _image("d")]
    ledger = Ledger()
    splits, how = _split(images, ledger=ledger)
    assert splits == {"train": ["a", "c", "d"], "val": ["b"]}
    assert how == "split: as the set has it, and 2 pictures of no known split to train"
    assert [(f.rule, f.found) for f in ledger.findings] == [
        (Rule.NO_SPLIT, "c"),
        (Rule.NO_SPLIT, "d"),
    ]


def test_pictures_for_testing_stay_out_when_the_rest_is_divided():
    images = [_image(f"t{n}", split="test") for n in range(3)]
    images += [_image(f"a{n}", split="train") for n in range(10)]
    splits, _ = _split(images)
    assert splits["test"] == ["t0", "t1", "t2"]
    assert (len(splits["train"]), len(splits["val"])) == (8, 2)


def test_a_seed_gives_the_same_division_again_and_another_a_different_one():
    images = [_image(f"{n}") for n in range(40)]
    assert _split(images, seed=1) == _split(images, seed=1)
    assert _split(images, seed=1)[0] != _split(images, seed=2)[0]


def test_groups_stay_whole():
    images = [_image(f"{drive}/{n}", group=drive) for drive in "abcdefgh" for n in range(10)]
    splits, how = _split(images, fraction=0.25)
    drives = {name: {image[0] for image in members} for name, members in splits.items()}
    assert drives["train"].isdisjoint(drives["val"])
    assert len(splits["val"]) == 20
    assert how == "split: 2 of 8 groups to val, drawn with seed 0"


def test_group_by_finds_groups_in_names():
    images = [_image(f"drive{n // 5}_{n:03d}.jpg") for n in range(20)]
    splits, _ = _split(images, group_by=r"^(.*)_\d+")
    assert len({name[:6] for name in splits["val"]}) == 1
    assert len(splits["val"]) == 5


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [("(", "not a regular expression"), ("xyz", "does not match the picture name '0'")],
)
def test_group_by_that_finds_nothing(pattern, problem):
    with pytest.raises(UserError, match=problem):
        _split([_image("0"), _image("1")], group_by=pattern)


def test_rare_classes_reach_both_sides():
    # Two of 50 pictures hold all the cyclists: a plain draw gives val one of them in one of three.
    rare = {3, 31}
    images = [_image(str(n), classes=("cyclist",) if n in rare else ("car",)) for n in range(50)]
    for seed in range(5):
        splits, _ = _split(images, seed=seed)
        assert len(rare & {int(name) for name in splits["val"]}) == 1


def test_one_drive_alone_is_divided_by_picture_and_noted():
    ledger = Ledger()
    splits, _ = _split([_image(str(n), group="drive") for n in range(10)], ledger=ledger)
    assert (len(splits["train"]), len(splits["val"])) == (8, 2)
    assert [finding.rule for finding in ledger.findings] == [Rule.ONE_GROUP]


def test_one_picture_cannot_be_divided():
    with pytest.raises(UserError, match="1 pictures to divide"):
        _split([_image("a")])


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_both_sides_get_something(fraction):
    splits, _ = _split([_image(str(n)) for n in range(4)], fraction=fraction)
    assert min(len(splits["train"]), len(splits["val"])) == 1


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("images/train2017/a.jpg", "train"),
        ("valid/a.jpg", "val"),
        ("validation/images/a.jpg", "val"),
        ("testing/a.jpg", "test"),
        ("train/val/a.jpg", "val"),
        ("annotations/instances_val2017.json", "val"),
        ("train-00000-of-00002.tfrecord", "train"),
        ("val_drive.jpg", None),
        ("trainstation/a.jpg", None),
    ],
)
def test_split_by_folder_name(path, expected):
    assert layout.split_of(Path("set", path), Path("set")) == expected


def test_copies_that_roboflow_made_are_one_group():
    assert layout.group_of("train/x_jpg.rf.0a1b2c.jpg") == layout.group_of("train/x_jpg.rf.ff.jpg")


def test_pictures_are_found_near_their_annotations(tmp_path):
    for split in ("train", "val"):
        (tmp_path / "images" / split).mkdir(parents=True)
        (tmp_path / "images" / split / "0001.jpg").touch()
    index = layout.ImageIndex(tmp_path)
    annotations = tmp_path / "annotations/instances_val.json"
    assert index.by_file_name("0001.jpg", annotations) == tmp_path / "images/val/0001.jpg"
    assert (
        index.by_stem("0001", tmp_path / "labels/train/x.txt") == tmp_path / "images/train/0001.jpg"
    )
    assert index.by_file_name("train\\0001.jpg", annotations) == tmp_path / "images/train/0001.jpg"
    assert index.by_file_name("other/0001.jpg", annotations) is None
