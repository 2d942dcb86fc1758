"""Numbered pictures, or those of a folder, as a film."""

import re
from fractions import Fraction
from pathlib import Path

from roadmark.errors import UserError

# Frames per second, where the user says nothing.
RATE = 25.0
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_NUMBER = re.compile(r"%(0?\d*)d")
# What FFmpeg's pattern matching (glob(3)) would take for a pattern.
_SPECIAL = re.compile(r"([*?\[\]{}\\])")


def exact_rate(fps: float) -> Fraction:
    """A rate as people write it, as it is meant: 29.97 is 30000/1001."""
    broadcast = Fraction(round(fps * 1.001) * 1000, 1001)
    is_broadcast = abs(broadcast - Fraction(fps)) < 2e-4 * fps
    return broadcast if is_broadcast else Fraction(fps).limit_denominator(1001)


def is_film(path: Path) -> bool:
    """Whether this is a folder, or the pattern of numbered pictures, such as `in/%05d.jpg`."""
    return path.is_dir() or (not path.exists() and _NUMBER.search(path.name) is not None)


def source(path: Path) -> tuple[str, dict[str, str]]:
    """What FFmpeg's image2 reads, and its options.

    Args:
        path: See `is_film`.

    Raises:
        UserError: There are no pictures, one is missing, or their order is not clear.
    """
    return _of_folder(path) if path.is_dir() else _of_pattern(path)


def _of_folder(folder: Path) -> tuple[str, dict[str, str]]:
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    names = sorted(path.name for path in files if path.suffix.lower() in SUFFIXES)
    kinds = sorted({Path(name).suffix for name in names})
    if not names:
        raise UserError(
            folder, f"holds no pictures ({', '.join(SUFFIXES)})", "give a video, or another folder"
        )
    if len(kinds) > 1:
        raise UserError(
            folder, f"holds {' and '.join(kinds)}", "give a folder with pictures of one type"
        )
    for name, wanted in zip(names, sorted(names, key=_by_number), strict=True):
        if name != wanted:
            raise UserError(
                folder,
                f"the order is not clear: {wanted} or {name} first",
                f"give --video={folder}/PATTERN with the number as %d, as in frame_%d{kinds[0]}",
            )
    where = _SPECIAL.sub(r"\\\1", str(folder.absolute()))
    return f"{where}/*{kinds[0]}", {"pattern_type": "glob"}


def _of_pattern(path: Path) -> tuple[str, dict[str, str]]:
    before, after = _NUMBER.split(path.name, maxsplit=1)[::2]
    if not path.parent.is_dir():
        raise UserError(path.parent, "no such folder", "check the path given to --video")
    form = re.compile(f"{re.escape(before)}(\\d+){re.escape(after)}")
    found = (form.fullmatch(one.name) for one in path.parent.iterdir())
    numbers = {int(match[1]): match[0] for match in found if match}
    if not numbers:
        raise UserError(path, "no picture has such a name", "check the pattern given to --video")
    first, spelled = min(numbers), f"{before}%{_NUMBER.search(path.name)[1]}d{after}"
    for number in range(first, max(numbers) + 1):
        if number not in numbers:
            raise UserError(
                path.parent / (spelled % number),
                f"is missing between {numbers[first]} and {numbers[max(numbers)]}",
                "give the folder to take what there is, or add the picture",
            )
        if numbers[number] != spelled % number:
            raise UserError(
                path.parent / numbers[number],
                f"does not fit the pattern, which says {spelled % number}",
                "write %05d for numbers of five digits with zeros, %d for those without",
            )
    where = str(path.parent.absolute()).replace("%", "%%")
    return f"{where}/{spelled}", {"pattern_type": "sequence", "start_number": str(first)}


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sorts `2.jpg` before `10.jpg`."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
