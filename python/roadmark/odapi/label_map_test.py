"""Label maps: what they accept, refuse and answer."""

from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.odapi import label_map

_STREET = """
item { id: 1 name: "vehicle" }
item { id: 2 name: "/m/01g317" display_name: "pedestrian" }
item { id: 4 name: 'cyclist' }
"""


def _load(tmp_path: Path, text: str) -> label_map.LabelMap:
    path = tmp_path / "label_map.pbtxt"
    path.write_text(text)
    return label_map.load(path)


def test_ids_need_not_be_consecutive_and_display_names_are_shown(tmp_path: Path) -> None:
    street = _load(tmp_path, _STREET)
    assert street.ids == (1, 2, 4)
    assert street.names == {1: "vehicle", 2: "pedestrian", 4: "cyclist"}
    assert street.name_of(4) == "cyclist"


@pytest.mark.parametrize(
    ("name", "class_id"),
    [("vehicle", 1), ("pedestrian", 2), ("/m/01g317", 2), ("tram", None)],
)
def test_records_may_hold_either_name(tmp_path: Path, name: str, class_id: int | None) -> None:
    assert _load(tmp_path, _STREET).id_of(name) == class_id


def test_save_and_load_give_the_same(tmp_path: Path) -> None:
    street = _load(tmp_path, _STREET)
    label_map.save(street, tmp_path / "copy.pbtxt")
    assert label_map.load(tmp_path / "copy.pbtxt").categories == street.categories


def test_of_names() -> None:
    assert label_map.LabelMap.of({2: "b", 1: "a"}).ids == (1, 2)


def test_an_unknown_id_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"label_map\.pbtxt: no class with id 3; it has 1, 2, 4"):
        _load(tmp_path, _STREET).name_of(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "no item in it", id="empty"),
        pytest.param(
            "item { id: 1 name: 'a' } item { id: 1 name: 'b' }",
            r"id 1 is given to two classes \('a', id 1, and 'b', id 1\)",
            id="an id twice",
        ),
        pytest.param(
            "item { id: 1 name: 'a' } item { id: 2 name: 'a' }",
            "name 'a' is given to two classes",
            id="a name twice",
        ),
        pytest.param(
            "item { id: 1 name: 'a' } item { id: 2 name: 'b' display_name: 'a' }",
            "name 'a' is given to two classes",
            id="a display name that is another's name",
        ),
        pytest.param("item { name: 'a' }", "'a' has id 0; ids begin at 1", id="no id"),
        pytest.param("item { id: 3 }", "the class with id 3 has no name", id="no name"),
        pytest.param(
            "item { id: 1\n  nam: 'a' }", r"pbtxt:2:3: .*'name'", id="misspelt, with the line"
        ),
        pytest.param("item { id: 'a' }", r"pbtxt:1:12: ", id="a text for an id"),
    ],
)
def test_refuses(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _load(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pbtxt: no such label map"):
        label_map.load(tmp_path / "nowhere.pbtxt")
