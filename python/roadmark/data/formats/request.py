"""What a reader is asked for."""

import dataclasses
from pathlib import Path

from roadmark.errors import UserError
from roadmark.odapi.label_map import LabelMap


@dataclasses.dataclass(frozen=True)
class Request:
    """Where a data set is.

    Attributes:
        input: Its folder; for some formats a file or a glob.
        label_map: Names of the class ids in records (`tfrecord`), or None.
        num_classes: Highest class id that records may use (`tfrecord`), or None for any.
        images: The folder with its pictures where that is elsewhere, or None.
        num_images: How many pictures to render (`synthetic`).
        seed: Of what is rendered (`synthetic`).
        datumaro_format: Datumaro's name of the format (`datumaro`).
    """

    input: str = ""
    label_map: LabelMap | None = None
    num_classes: int | None = None
    images: Path | None = None
    num_images: int = 0
    seed: int = 0
    datumaro_format: str = ""

    @property
    def folder(self) -> Path:
        """The input as a folder.

        Raises:
            UserError: It is none.
        """
        if not self.input:
            raise UserError(
                "--input",
                "not given",
                "name the data set's folder, or render one with --from=synthetic",
            )
        path = Path(self.input)
        if not path.is_dir():
            raise UserError(self.input, "no such folder", "name the data set's folder")
        return path
