"""Label maps: which class a number in the records stands for. Needs no TensorFlow."""

import dataclasses
from pathlib import Path

from roadmark.errors import UserError
from roadmark.odapi import protos, text_proto

_StringIntLabelMap = protos.load("string_int_label_map").StringIntLabelMap


@dataclasses.dataclass(frozen=True)
class Category:
    """A class of objects.

    Attributes:
        id: 1 or more; 0 is the background.
        name: The text that the records hold.
        display_name: What people are shown, where that differs; records may hold it too.
    """

    id: int
    name: str
    display_name: str = ""

    @property
    def shown(self) -> str:
        """The name to show."""
        return self.display_name or self.name


@dataclasses.dataclass(frozen=True)
class LabelMap:
    """The classes of a data set.

    Attributes:
        categories: In the order of the file; ids need not be consecutive.
        source: The file it came from, for messages.

    Raises:
        UserError: No category at all, an id below 1, an id or a name given twice, or no name.
    """

    categories: tuple[Category, ...]
    source: str = "label map"

    def __post_init__(self) -> None:
        if not self.categories:
            raise UserError(self.source, "no item in it", "add: item { id: 1 name: 'vehicle' }")
        seen: dict[int | str, Category] = {}
        for category in self.categories:
            self._check(category)
            for key in {category.id, category.name, category.display_name} - {""}:
                if key in seen:
                    raise self._twice(key, seen[key], category)
                seen[key] = category

    @classmethod
    def of(cls, names: dict[int, str]) -> "LabelMap":
        """A label map from `{id: name}`."""
        return cls(tuple(Category(number, name) for number, name in sorted(names.items())))

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids, ascending."""
        return tuple(sorted(category.id for category in self.categories))

    @property
    def names(self) -> dict[int, str]:
        """`{id: name to show}`, ids ascending."""
        return {number: self.name_of(number) for number in self.ids}

    def name_of(self, class_id: int) -> str:
        """The name to show for an id.

        Raises:
            UserError: The label map has no such id.
        """
        for category in self.categories:
            if category.id == class_id:
                return category.shown
        raise UserError(
            self.source,
            f"no class with id {class_id}; it has {', '.join(map(str, self.ids))}",
            f"add: item {{ id: {class_id} name: '...' }}",
        )

    def id_of(self, name: str) -> int | None:
        """The id of a class by its name or its display name, or None."""
        for category in self.categories:
            if name in (category.name, category.display_name):
                return category.id
        return None

    def _check(self, category: Category) -> None:
        if category.id < 1:
            raise UserError(
                self.source,
                f"class {category.name!r} has id {category.id}; ids begin at 1, for 0 is the "
                "background",
                "renumber the label map, and the records with it",
            )
        if not category.name:
            raise UserError(self.source, f"the class with id {category.id} has no name", "name it")

    def _twice(self, key: int | str, first: Category, second: Category) -> UserError:
        what = f"id {key}" if isinstance(key, int) else f"name {key!r}"
        return UserError(
            self.source,
            f"{what} is given to two classes ({first.name!r}, id {first.id}, and "
            f"{second.name!r}, id {second.id})",
            "give every class an id and a name of its own",
        )


def load(path: str | Path) -> LabelMap:
    """Reads a label map in the OD API's text format.

    Raises:
        UserError: The file is missing or does not parse, or the label map is not valid.
    """
    items = text_proto.load(path, _StringIntLabelMap, "label map").item
    categories = tuple(Category(item.id, item.name, item.display_name) for item in items)
    return LabelMap(categories, source=str(path))


def save(label_map: LabelMap, path: str | Path) -> None:
    """Writes a label map in the OD API's text format."""
    message = _StringIntLabelMap()
    for category in label_map.categories:
        item = message.item.add(id=category.id, name=category.name)
        if category.display_name:
            item.display_name = category.display_name
    text_proto.save(message, path)
