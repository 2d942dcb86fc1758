"""Mappings of a YAML file, read key by key, with the line of whatever is wrong."""

import difflib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from roadmark.errors import UserError


class Section:
    """One mapping of a file. Every key must be taken before `end`.

    Args:
        path: The file.
        node: The mapping, or None for an empty one.
        name: Dotted name of the mapping in the file, empty for the whole.

    Raises:
        UserError: The node is no mapping, or a key is there twice.
    """

    def __init__(self, path: Path, node: yaml.Node | None, name: str = "") -> None:
        self._path, self.name = path, name
        self._line = node.start_mark.line + 1 if node is not None else 1
        self._keys: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        self._taken: list[str] = []
        if node is None or _is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            raise self._error(self._line, name or "the file", node, "a mapping, `key: value`")
        for key, value in node.value:
            if key.value in self._keys:
                raise UserError(
                    f"{path}:{key.start_mark.line + 1}",
                    f"{self._full(key.value)}: found a second time, expected once",
                    "remove one of the two",
                )
            self._keys[str(key.value)] = (key, value)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def section(self, key: str) -> "Section":
        """The mapping under a key; an empty one where there is none."""
        return Section(self._path, self._node(key), self._full(key))

    def sections(self, key: str) -> Iterator["Section"]:
        """The mappings of the list under a key; none where there is none."""
        node = self._node(key)
        if node is None or _is_null(node):
            return
        if not isinstance(node, yaml.SequenceNode):
            raise self._bad(key, node, "a list of mappings")
        for number, item in enumerate(node.value):
            yield Section(self._path, item, f"{self._full(key)}[{number}]")

    def is_mapping(self, key: str) -> bool:
        """Whether there is a mapping under a key."""
        return key in self._keys and isinstance(self._keys[key][1], yaml.MappingNode)

    def names(self) -> list[str]:
        """The keys of the mapping."""
        return list(self._keys)

    def number(self, key: str, default: float | None, least: float, most: float) -> float:
        """A number from `least` to `most`; without a default it must be there."""
        return self._value(
            key,
            default,
            f"a number from {least:g} to {most:g}",
            lambda v: type(v) in (int, float) and least <= v <= most,
            float,
        )

    def whole(self, key: str, default: int | None, least: int, most: int) -> int:
        """A whole number from `least` to `most`; without a default it must be there."""
        return self._value(
            key,
            default,
            f"a whole number from {least} to {most}",
            lambda v: type(v) is int and least <= v <= most,
            int,
        )

    def truth(self, key: str, default: bool) -> bool:
        """True or false."""
        return self._value(key, default, "true or false", lambda v: type(v) is bool, bool)

    def text(self, key: str, default: str | None) -> str:
        """A text that is not empty."""
        return self._value(key, default, "a text", lambda v: isinstance(v, str) and v != "", str)

    def choice(self, key: str, default: str | None, known: Collection[str]) -> str:
        """One of a few words."""
        expected = f"one of {', '.join(known)}"
        return self._value(key, default, expected, lambda v: isinstance(v, str) and v in known, str)

    def wholes(
        self, key: str, default: Sequence[int] | None, count: int, least: int
    ) -> tuple[int, ...]:
        """So many whole numbers, in a list."""
        return self._value(
            key,
            default,
            f"{count} whole numbers of at least {least}, [a, b, …]",
            lambda v: (
                isinstance(v, list)
                and len(v) == count
                and all(type(n) is int and n >= least for n in v)
            ),
            tuple,
        )

    def choices(self, key: str, default: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
        """Some of a few words, in a list."""
        return self._value(
            key,
            default,
            f"a list of {', '.join(known)}",
            lambda v: isinstance(v, list) and all(isinstance(n, str) and n in known for n in v),
            tuple,
        )

    def end(self) -> None:
        """Raises UserError when there is a key that nobody took."""
        for name, (key, _) in self._keys.items():
            if name in self._taken:
                continue
            near = difflib.get_close_matches(name, self._taken, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UserError(
                f"{self._path}:{key.start_mark.line + 1}",
                f"{self._full(name)}: found an unknown key, expected one of "
                f"{', '.join(self._taken)}",
                f"{hint}correct or remove it",
            )

    def error(self, key: str, problem: str, cure: str) -> UserError:
        """An error about the value of a key, or about the mapping where there is none."""
        line = self._keys[key][0].start_mark.line + 1 if key in self._keys else self._line
        return UserError(f"{self._path}:{line}", f"{self._full(key)}: {problem}", cure)

    def _value(self, key: str, default: Any, expected: str, fits: Any, kind: Any) -> Any:
        node = self._node(key)
        if node is None:
            if default is None:
                raise UserError(
                    f"{self._path}:{self._line}",
                    f"{self._full(key)}: missing, expected {expected}",
                    "add the key",
                )
            return kind(default)
        try:
            value = yaml.SafeLoader("").construct_object(node, deep=True)
        except yaml.YAMLError:
            value = None
        if not fits(value):
            raise self._bad(key, node, expected)
        return kind(value)

    def _node(self, key: str) -> yaml.Node | None:
        self._taken.append(key)
        return self._keys[key][1] if key in self._keys else None

    def _full(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def _bad(self, key: str, node: yaml.Node, expected: str) -> UserError:
        return self._error(node.start_mark.line + 1, self._full(key), node, expected)

    def _error(self, line: int, what: str, node: yaml.Node, expected: str) -> UserError:
        return UserError(
            f"{self._path}:{line}",
            f"{what}: found {_shown(node)}, expected {expected}",
            "correct it",
        )


def load(path: Path) -> Section:
    """The mapping that a YAML file is.

    Raises:
        UserError: It cannot be read or is not YAML.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise UserError(path, "no such file, expected a YAML config", "check --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(path, f"cannot be read: {error}", "give a YAML config") from None
    except yaml.MarkedYAMLError as error:
        line = f"{path}:{error.problem_mark.line + 1}" if error.problem_mark else path
        raise UserError(line, f"found {error.problem}, expected YAML", "correct it") from None
    return Section(path, node)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value)
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
