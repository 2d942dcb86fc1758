"""Which pictures belong together: the frames of one drive or clip."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from roadmark.data import splitting

DRIVES, PICTURES = "drives", "pictures"

# A file name's endings, such as `_0.tfrecord` and `.rf.0a1b.jpg`, and the number of the frame.
_ENDINGS = re.compile(r"(\.rf\.[0-9a-f]+)?(\.[A-Za-z][A-Za-z0-9]*)*$")
_FRAME_NUMBER = re.compile(r"[-_. ]?(frame)?[-_. ]?\d+$")


def drive_of(name: str) -> str:
    """The drive that a picture's name tells: its folder, else the name without a frame's number.

    Records hold no drive of their own. A name that is a number alone tells nothing and is its own
    drive.

    Example:
        >>> drive_of("segment-10_20_with_camera_labels_120.tfrecord")
        'segment-10_20_with_camera_labels'
        >>> drive_of("drive_7/000012.jpg")
        'drive_7'
        >>> drive_of("000000000139.jpg")
        '000000000139'
    """
    path = PurePosixPath(name)
    if len(path.parts) > 1:
        return str(path.parent)
    stem = _ENDINGS.sub("", name)
    return _FRAME_NUMBER.sub("", stem) or stem


def group(names: Sequence[str], group_by: str | None) -> tuple[list[str], str]:
    """The group of each picture, and what a group is: `drives`, or `pictures` one by one.

    Args:
        names: Of the pictures.
        group_by: Regular expression as `prepare` takes it, or None to go by `drive_of`.

    Raises:
        UserError: As `splitting.groups_by`.
    """
    if group_by is not None:
        return splitting.groups_by(group_by, names), DRIVES
    drives = [drive_of(name) for name in names]
    if 1 < len(set(drives)) < len(names):
        return drives, DRIVES
    # Numbered, because records made elsewhere may give two pictures one name.
    return [f"{number} {name}" for number, name in enumerate(names)], PICTURES


def numbered(groups: Sequence[str]) -> np.ndarray:
    """int64 `[N]`, 0 and up, equal for equal groups, in the order of their names."""
    if not groups:
        return np.zeros(0, np.int64)
    return np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)
