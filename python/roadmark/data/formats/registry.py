"""The formats that `prepare --from=` knows."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from roadmark.data.formats import (
    coco,
    datumaro_formats,
    kitti,
    openimages,
    rendered,
    roboflow_csv,
    tfrecords,
    voc,
    yolo,
)
from roadmark.data.formats.request import Request
from roadmark.data.source import SourceSet
from roadmark.errors import UserError

AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        read: Reads a set.
        detect: Whether a folder holds it; None where that cannot be told.
    """

    read: Callable[[Request], SourceSet]
    detect: Callable[[Path], bool] | None = None


FORMATS = {
    "coco": Format(coco.read, coco.detect),
    "voc": Format(voc.read, voc.detect),
    "yolo": Format(yolo.read, yolo.detect),
    "kitti": Format(kitti.read, kitti.detect),
    "openimages": Format(openimages.read, openimages.detect),
    "roboflow_csv": Format(roboflow_csv.read, roboflow_csv.detect),
    "tfrecord": Format(tfrecords.read, tfrecords.detect),
    "synthetic": Format(rendered.read),
    "datumaro": Format(datumaro_formats.read),
}


def read(name: str, request: Request) -> tuple[str, SourceSet]:
    """Reads a set in the format `name`, or in the one its folder holds for `auto`.

    Returns:
        The name of the format, and the set.

    Raises:
        UserError: There is no set to read, or it is not clear which format it has.
    """
    chosen = detect(request.folder) if name == AUTO else name
    return chosen, FORMATS[chosen].read(request)


def detect(folder: Path) -> str:
    """The format of the set in a folder.

    Raises:
        UserError: None or several fit.
    """
    fitting = [name for name, fmt in FORMATS.items() if fmt.detect and fmt.detect(folder)]
    if len(fitting) == 1:
        return fitting[0]
    found = f"looks like {' and '.join(fitting)}" if fitting else "holds no format known here"
    raise UserError(str(folder), found, f"say which with --from={'|'.join(FORMATS)}")
