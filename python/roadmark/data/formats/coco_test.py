"""COCO JSON: layouts, categories, masks, and every kind of contradiction."""

import json

import pytest

from roadmark.data.findings import Rule
from roadmark.data.formats import coco
from roadmark.data.formats.request import Request
from roadmark.data.source import Polygons, RunLengths
from roadmark.errors import UserError
from roadmark.testing import pictures

CAR = {"id": 3, "name": "car"}
CATEGORIES = [{"id": 7, "name": "bus"}, CAR]
IMAGES = [
    {"id": 1, "file_name": "a.jpg", "width": 80, "height": 60},
    {"id": 2, "file_name": "b.jpg", "width": 80, "height": 60},
]


def _annotation(**changes):
    fields = {"id": 5, "image_id": 1, "category_id": 3, "bbox": [10, 20, 30, 15], "iscrowd": 0}
    return fields | changes


def _write(path, annotations, images=IMAGES, categories=CATEGORIES):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))


def _objects(source):
    return {image.name: image.load().objects for image in source.images}


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        pictures.write(tmp_path / name)
    return tmp_path


def test_one_file_without_a_split(folder):
    file = folder / "all.json"
    _write(file, [_annotation(), _annotation(id=6, category_id=7, iscrowd=1)])
    source = coco.read(Request(str(file)))
    assert source.class_ids == {"car": 3, "bus": 7}
    assert [image.split for image in source.images] == [None, None]
    assert source.images[0].source_id == "1"
    assert source.images[0].stated_size == (60, 80)
    first, second = _objects(source)["a.jpg"]
    assert (first.class_name, first.box, first.is_crowd) == ("car", (20, 10, 35, 40), False)
    assert (second.class_name, second.is_crowd) == ("bus", True)
    assert source.ledger.findings == []


def test_folders_of_roboflow_and_their_splits(tmp_path):
    for split in ("train", "valid"):
        pictures.write(tmp_path / split / "a.jpg")
        _write(tmp_path / split / "_annotations.coco.json", [_annotation()], images=IMAGES[:1])
    source = coco.read(Request(str(tmp_path)))
    found = {image.name: (image.split, len(image.load().objects)) for image in source.images}
    assert found == {"train/a.jpg": ("train", 1), "valid/a.jpg": ("val", 1)}
    # Both files number their pictures from the same id, which therefore names none of them.
    assert {image.source_id for image in source.images} == {""}


def test_official_layout_takes_instances_and_leaves_captions(tmp_path):
    for split in ("train2017", "val2017"):
        pictures.write(tmp_path / split / "a.jpg")
        _write(tmp_path / f"annotations/instances_{split}.json", [_annotation()], IMAGES[:1])
        _write(tmp_path / f"annotations/captions_{split}.json", [], IMAGES[:1])
    source = coco.read(Request(str(tmp_path)))
    assert sorted(image.split for image in source.images) == ["train", "val"]
    assert all(len(objects) == 1 for objects in _objects(source).values())


@pytest.mark.parametrize(
    ("segmentation", "expected"),
    [
        pytest.param([[1, 2, 30, 4, 5, 40]], Polygons(((1, 2, 30, 4, 5, 40),)), id="polygon"),
        pytest.param(
            {"counts": [10, 20, 4770], "size": [60, 80]},
            RunLengths((10, 20, 4770), 60, 80),
            id="runs",
        ),
        pytest.param(
            {"counts": ":d0Ri7", "size": [60, 80]}, RunLengths(":d0Ri7", 60, 80), id="compressed"
        ),
        pytest.param([], None, id="none"),
    ],
)
def test_masks(folder, segmentation, expected):
    _write(folder / "x.json", [_annotation(segmentation=segmentation)])
    source = coco.read(Request(str(folder)))
    assert _objects(source)["a.jpg"][0].mask == expected
    assert source.has_masks == (expected is not None)


@pytest.mark.parametrize(
    ("annotations", "images", "rule", "where"),
    [
        pytest.param(
            [_annotation(image_id=9)], IMAGES, Rule.UNKNOWN_IMAGE_ID, "annotation 5", id="image-id"
        ),
        pytest.param(
            [_annotation(category_id=9)], IMAGES, Rule.UNKNOWN_CLASS, "annotation 5", id="category"
        ),
        pytest.param(
            [_annotation(bbox=[1, 2])], IMAGES, Rule.MALFORMED, "annotation 5", id="short-box"
        ),
        pytest.param(
            [_annotation(bbox=["x", 2, 3, 4])], IMAGES, Rule.MALFORMED, "annotation 5", id="text"
        ),
        pytest.param(
            [_annotation(segmentation={"size": [1]})],
            IMAGES,
            Rule.MALFORMED,
            "annotation 5",
            id="mask-without-counts",
        ),
        pytest.param(
            [_annotation(), _annotation(image_id=2)],
            IMAGES,
            Rule.DUPLICATE_OBJECT_ID,
            "annotation 5",
            id="annotation-id-twice",
        ),
        pytest.param(
            [_annotation()],
            [IMAGES[0], IMAGES[1] | {"id": 1}],
            Rule.DUPLICATE_IMAGE_ID,
            "image 1 (entry 1)",
            id="image-id-twice",
        ),
        pytest.param(
            [_annotation()],
            [*IMAGES, IMAGES[0] | {"id": 8}],
            Rule.DUPLICATE_ENTRY,
            "image 8",
            id="file-twice",
        ),
        pytest.param(
            [_annotation(image_id=3)],
            [*IMAGES, {"id": 3, "file_name": "gone.jpg"}],
            Rule.MISSING_IMAGE,
            "image 3",
            id="no-such-picture",
        ),
        pytest.param([_annotation()], IMAGES[:1], Rule.NO_ANNOTATION, "b.jpg", id="not-listed"),
        pytest.param(
            [_annotation(segmentation=5)], IMAGES, Rule.MALFORMED, "annotation 5", id="mask-number"
        ),
        pytest.param(
            [_annotation(bbox=[10**400, 2, 3, 4])],
            IMAGES,
            Rule.MALFORMED,
            "annotation 5",
            id="number-beyond-floats",
        ),
        pytest.param(
            [_annotation(), 5], IMAGES, Rule.MALFORMED, "annotations[1]", id="annotation-no-object"
        ),
        pytest.param(
            [_annotation()], [*IMAGES, "c.jpg"], Rule.MALFORMED, "images[2]", id="image-no-object"
        ),
        *(
            pytest.param(
                [_annotation(**{key: [1]})],
                IMAGES,
                Rule.MALFORMED,
                "annotations[0]",
                id=f"list-{key}",
            )
            for key in ("id", "image_id", "category_id")
        ),
        pytest.param(
            [_annotation()],
            [*IMAGES, IMAGES[0] | {"id": {"a": 1}}],
            Rule.MALFORMED,
            "images[2]",
            id="image-id-is-an-object",
        ),
    ],
)
def test_contradictions_are_entered_with_file_and_id(folder, annotations, images, rule, where):
    _write(folder / "x.json", annotations, images)
    ledger = coco.read(Request(str(folder))).ledger
    found = [finding for finding in ledger.findings if finding.rule is rule]
    assert found, ledger.findings
    assert where in found[0].where


def test_categories_with_ids_of_several_types_are_read_and_others_entered(folder):
    bad = [{"id": None, "name": "x"}, {"id": [1], "name": "y"}, "z"]
    _write(folder / "x.json", [_annotation()], categories=[{"id": "7", "name": "bus"}, *bad, CAR])
    source = coco.read(Request(str(folder)))
    assert list(source.class_ids) == ["car", "bus"]
    assert len(_objects(source)["a.jpg"]) == 1
    assert [(f.rule, f.where) for f in source.ledger.findings] == [
        (Rule.MALFORMED, f"{folder}/x.json: categories[{n}]") for n in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"info": {"a": "}"}, "images": [', True, id="images-listed"),
        pytest.param('{"categories": [{"id": 1}], "annotations": []}', True, id="annotations"),
        pytest.param('{"splits": {"train": {"images": 8}}, "images": 8}', False, id="counts"),
        pytest.param('{"made": {"images": []}}', False, id="a-level-below"),
        pytest.param('{"keys": "images", "values": []}', False, id="as-a-text"),
        pytest.param('[{"images": []}]', False, id="list"),
    ],
)
def test_what_looks_like_coco(tmp_path, text, expected):
    (tmp_path / "x.json").write_text(text)
    assert coco.detect(tmp_path) is expected


def test_objects_of_a_picture_listed_twice_are_put_together(folder):
    entries = [*IMAGES, IMAGES[0] | {"id": 8}]
    _write(folder / "x.json", [_annotation(), _annotation(id=6, image_id=8)], entries)
    assert len(_objects(coco.read(Request(str(folder))))["a.jpg"]) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param('{"images": [}', "line 1 column 13: not JSON", id="no-json"),
        pytest.param('{"images": [], "annotations": []}', "no list of 'categories'", id="key"),
        pytest.param('["images"]', "not a COCO instances file", id="list"),
    ],
)
def test_files_that_are_not_coco(folder, text, problem):
    (folder / "x.json").write_text(text)
    with pytest.raises(UserError) as error:
        coco.read(Request(str(folder / "x.json")))
    assert f"{folder}/x.json" in str(error.value)
    assert problem in str(error.value)


def test_one_category_id_with_two_names(folder):
    _write(folder / "x.json", [], categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}])
    with pytest.raises(UserError) as error:
        coco.read(Request(str(folder)))
    assert "category id 1 is both 'a' and 'b'" in str(error.value)
