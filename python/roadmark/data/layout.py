"""How data sets lay out their folders: where pictures are, which split, which group."""

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePath

from roadmark.errors import UserError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_WORDS = re.compile(r"[a-z]+")
# Roboflow names its copies of a photo PHOTO.rf.HASH.jpg.
_ROBOFLOW_COPY = re.compile(r"\.rf\.[0-9a-f]+(?=\.[^.]+$)")


def split_of(path: PurePath, root: PurePath) -> str | None:
    """The split that a folder or file name below `root` says, such as `val` for `images/val2017`.

    Folders count from the innermost outwards, then the file's own name unless it is a picture.
    """
    *folders, own = path.relative_to(root).parts
    names = folders[::-1] + ([] if path.suffix.lower() in IMAGE_SUFFIXES else [own])
    for name in names:
        words = _WORDS.findall(name.lower())
        found = [_SPLITS[word] for word in words if word in _SPLITS]
        if found:
            return found[0]
    return None


def group_of(name: str) -> str:
    """The group of a picture by its name: copies that Roboflow made of one photo are one."""
    return _ROBOFLOW_COPY.sub("", name)


class ImageIndex:
    """The pictures below a folder.

    Args:
        root: The folder.

    Raises:
        UserError: It is no folder, or no picture is in it.
    """

    def __init__(self, root: Path):
        self.root = root
        self.paths = find(root, IMAGE_SUFFIXES)
        if not self.paths:
            raise UserError(
                str(root), "no pictures below this folder", "name the data set's folder"
            )
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path in self.paths:
            self._by_name.setdefault(path.name, []).append(path)
            self._by_stem.setdefault(path.stem, []).append(path)

    def name_of(self, path: Path) -> str:
        """The picture's name in the set: its path below the folder, with `/`."""
        return path.relative_to(self.root).as_posix()

    def by_file_name(self, file_name: str, annotations: Path) -> Path | None:
        """The picture that an annotation file means by `file_name`.

        A picture whose path ends in `file_name`; of several, one of the annotation file's split
        and nearest to it.
        """
        wanted = PurePath(file_name.replace("\\", "/"))
        depth = len(wanted.parts)
        candidates = self._by_name.get(wanted.name, [])
        fitting = [path for path in candidates if path.parts[-depth:] == wanted.parts]
        return self._best(fitting, annotations)

    def by_stem(self, stem: str, annotations: Path) -> Path | None:
        """As `by_file_name`, for a picture's name without its suffix."""
        return self._best(self._by_stem.get(stem, []), annotations)

    def _best(self, candidates: list[Path], annotations: Path) -> Path | None:
        split = split_of(annotations, self.root)

        def distance(path: Path) -> tuple[bool, int, Path]:
            shared = len(os.path.commonpath([path, annotations]))
            return split_of(path, self.root) != split, -shared, path

        return min(candidates, key=distance, default=None)


def find(root: Path, suffixes: Iterable[str]) -> list[Path]:
    """The files below a folder with one of these suffixes (lower case), sorted.

    Hidden files and folders are passed over.

    Raises:
        UserError: `root` is no folder.
    """
    if not root.is_dir():
        raise UserError(str(root), "no such folder", "give the data set's folder with --input=")
    wanted = frozenset(suffixes)
    found = (path for path in root.rglob("*") if path.suffix.lower() in wanted)
    visible = (p for p in found if not any(q.startswith(".") for q in p.relative_to(root).parts))
    return sorted(path for path in visible if path.is_file())
