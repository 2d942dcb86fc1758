"""What a user asks `infer` for, looked at before a model is loaded."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from roadmark.errors import UserError
from roadmark.video import codecs, picture_film
from roadmark.video.annotate_images import find_images
from roadmark.video.reader import WHOLE, Span, VideoReader
from roadmark.video.writer import check_output

# Formats of detections and the suffixes of their files.
FORMATS = {"json": ".json", "jsonl": ".jsonl", "csv": ".csv", "mot": ".txt"}
_OF_VIDEOS = ("jsonl", "mot")


@dataclasses.dataclass(frozen=True)
class Request:
    """A source and where its results go.

    Attributes:
        video: A video: file, URL or camera; or None.
        images: A picture or a folder of pictures; or None.
        out: The file or folder to write; None for NAME.annotated in the current folder.
        detections: A name in `FORMATS`.
        codec: As in `VideoOptions`.
        span: As in `VideoOptions`.
        is_tracked: Whether objects are tracked.
        fps: As in `VideoOptions`.
        side_by_side: The second model's folder, or None.
        of_one_model: Flags that were given, and mean nothing for two models.
    """

    video: str | None
    images: str | None
    out: str | None = None
    detections: str = "json"
    codec: str = codecs.AUTO
    span: Span = WHOLE
    is_tracked: bool = False
    fps: float | None = None
    side_by_side: str | None = None
    of_one_model: Sequence[str] = ()

    @property
    def output(self) -> Path:
        """The file or folder to write."""
        if self.out:
            return Path(self.out)
        source = Path(self.video or self.images or "").resolve()
        if self.video:
            return Path(f"{_title(source)}.annotated.mp4")
        suffix = "" if source.is_dir() else source.suffix
        return Path(f"{source.stem if suffix else source.name}.annotated{suffix}")

    @property
    def listing(self) -> Path:
        """The file of detections."""
        suffix = FORMATS[self.detections]
        if self.images and Path(self.images).is_dir():
            return self.output / f"detections{suffix}"
        return self.output.with_suffix(suffix)

    def check_choices(self) -> None:
        """Raises UserError when this cannot be done, whatever the source holds."""
        if bool(self.video) == bool(self.images):
            found = "both --video and --images" if self.video else "neither --video nor --images"
            raise UserError("command line", f"found {found}", "give one of the two; see --help")
        if self.detections == "mot" and not self.is_tracked:
            raise UserError("--detections", "found mot, which lists tracks", "add --track")
        if self.side_by_side:
            self._check_two_models()
        if self.images and self.detections in _OF_VIDEOS:
            raise UserError(
                "--detections", f"found {self.detections}, which is of videos", "use json"
            )

    def check(self) -> None:
        """Raises UserError when this cannot be done."""
        self.check_choices()
        source = Path(self.video or self.images or "")
        if source.name == "test.mp4" and not source.exists():
            cure = "make it, and a model, with: bazel run //python:demo"
            raise UserError(source, "no such video", cure)
        if self.video:
            check_output(self.output, self.codec)
            VideoReader(self.video, span=self.span, fps=self.fps).close()
            return
        find_images(source, self.output)

    def _check_two_models(self) -> None:
        if self.images:
            raise UserError("--side_by_side", "found --images, it is for videos", "give --video")
        for flag in self.of_one_model:
            raise UserError(
                "--side_by_side", f"found --{flag}, which is of one model", "leave one of them out"
            )


def _title(video: Path) -> str:
    """The name of a video without its type; of a film made of pictures that of their folder."""
    if video.is_dir():
        return video.name
    return video.parent.name if picture_film.is_film(video) else video.stem


def summary(objects: Counter[str], score_threshold: float) -> str:
    """In words, how many objects of which class were found."""
    if not objects:
        return f"nothing scored above {score_threshold:g}; try a lower --score_threshold"
    parts = ", ".join(f"{count} {name}" for name, count in objects.most_common())
    return f"{objects.total()} detections ({parts})"
