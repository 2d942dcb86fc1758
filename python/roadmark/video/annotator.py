"""What `infer` does with a video or with pictures, once for each that it is asked for."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roadmark import locations, manifest
from roadmark.inference.detector import Detector
from roadmark.video import codecs, counting, frame_detector, request, side_by_side, tracking
from roadmark.video.annotate_images import ImagesResult, annotate_images
from roadmark.video.annotate_video import VideoResult, annotate_video
from roadmark.video.frame_detector import ByModel
from roadmark.video.options import VideoOptions
from roadmark.video.partial import Report, print_report
from roadmark.video.reader import WHOLE, Span
from roadmark.video.request import Request

Label = Callable[[Detector, list[int], str | None], tuple[Any, list[int]]]
"""As `classification.vehicle_labels.labelled`, which this package may not import."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a user may choose about `infer`, whatever it looks at; can be pickled.

    Attributes:
        model: Exported folder; None for the newest under `runs`.
        engine: As `Detector.load` takes it.
        device: Likewise.
        precision: Likewise.
        threads: Likewise.
        trust: As `manifest.load` takes it.
        classes: Names of the classes to keep; all when empty.
        score_threshold: Drops objects with this score or less.
        label: Has a classifier name vehicles.
        classify: Exported classifier's folder, or None.
        side_by_side: Another exported folder, or None.
        batch_size: As in `VideoOptions`.
        stride: As in `VideoOptions`.
        span: As in `VideoOptions`.
        codec: As in `VideoOptions`.
        fps: As in `VideoOptions`.
        show_fps: As in `VideoOptions`.
        resume: As in `VideoOptions`.
        gif: Whether to write one.
        crops: Whether to write them.
        track: Whether to follow objects.
        count_line: As `counting.parse` takes it.
        count_zone: As `counting.parse` takes it.
        detections: A name in `request.FORMATS`.
    """

    model: str | None
    engine: str
    device: str
    precision: str
    threads: int
    trust: bool
    classes: tuple[str, ...]
    score_threshold: float
    label: Label
    classify: str | None = None
    side_by_side: str | None = None
    batch_size: int = 1
    stride: int = 1
    span: Span = WHOLE
    codec: str = codecs.AUTO
    fps: float | None = None
    show_fps: bool = False
    resume: bool = False
    gif: bool = False
    crops: bool = False
    track: bool = False
    count_line: str | None = None
    count_zone: str | None = None
    detections: str = "json"

    @property
    def is_tracked(self) -> bool:
        """Whether objects are followed; counting takes that."""
        return self.track or bool(counting.parse(self.count_line, self.count_zone))

    def request(self, video: str | None, images: str | None, out: str | None) -> Request:
        """What is asked for of one source; see `Request`."""
        of_one_model = ("track", "count_line", "count_zone", "resume")
        return Request(
            *(video, images, out, self.detections, self.codec, self.span, self.is_tracked),
            *(self.fps, self.side_by_side, [name for name in of_one_model if getattr(self, name)]),
        )


@dataclasses.dataclass(frozen=True)
class Annotated:
    """What came of a source.

    Attributes:
        result: As `annotate_video` or `annotate_images` gives it.
        out: What was written.
        page: The page of a video's run.
        lines: What else there is to say.
    """

    result: VideoResult | ImagesResult
    out: Path
    page: Path | None
    lines: list[str]

    @property
    def pictures(self) -> int:
        """Pictures or frames that were written."""
        found = self.result
        return found.frames if isinstance(found, VideoResult) else found.images

    def print_to_terminal(self) -> None:
        """Prints what was written and found."""
        if isinstance(self.result, VideoResult):
            self.result.print_to_terminal(self.out, self.page)
        else:
            print(f"{self.out}: {self.result.images} pictures")
        for line in self.lines:
            print(line)


class Annotator:
    """Annotates one source after the other, with models that are loaded once.

    Args:
        settings: Choices.
        say: Is told what was loaded, in lines.

    Raises:
        UserError: A model cannot be loaded, or lacks a class.
    """

    def __init__(self, settings: Settings, say: Report) -> None:
        self._settings, self._say = settings, say
        self._folder = Path(settings.model) if settings.model else locations.newest_export()
        description = manifest.load(self._folder, settings.trust)
        classes = frame_detector.class_ids(description.names(), settings.classes)
        model = self._load(self._folder, description)
        self._model, self._classes = settings.label(model, classes, settings.classify)
        self._second = self._loaded_second()

    def annotate(self, wanted: Request, report: Report = print_report) -> Annotated:
        """Annotates a video or pictures; see `annotate_video` and `annotate_images`."""
        work = self._annotate_video if wanted.video else self._annotate_images
        return work(wanted, report)

    def _annotate_video(self, wanted: Request, report: Report) -> Annotated:
        settings, out = self._settings, wanted.output
        threshold = settings.score_threshold
        # A tracker goes on with objects that are hardly seen.
        weakest = min(tracking.WEAK, threshold) if wanted.is_tracked else threshold
        look = ByModel(self._model, weakest, self._classes)
        options = VideoOptions(
            batch_size=settings.batch_size,
            stride=settings.stride,
            span=settings.span,
            codec=settings.codec,
            show_fps=settings.show_fps,
            tracker=tracking.Tracker(threshold) if wanted.is_tracked else None,
            counters=counting.parse(settings.count_line, settings.count_zone),
            resume=settings.resume,
            fps=settings.fps,
            crops=out.with_suffix(".crops") if settings.crops else None,
            gif=out.with_suffix(".gif") if settings.gif else None,
            page=out.with_suffix(".html"),
            side_by_side=self._second,
            model=f"{look.identity}, {threshold}",
            about=f"{self._folder} ({self._model.engine}), scores above {threshold:g}",
        )
        names, listing = self._model.label_map, wanted.listing
        result = annotate_video(wanted.video, out, look, names, listing, options, report)
        lines = []
        if settings.side_by_side:
            beside = request.summary(result.objects_beside, threshold)
            lines.append(f"{settings.side_by_side}: {beside}")
        lines.append(f"{listing}: {request.summary(result.objects, threshold)}")
        return Annotated(result, out, options.page, lines)

    def _annotate_images(self, wanted: Request, report: Report) -> Annotated:
        settings, out, listing = self._settings, wanted.output, wanted.listing
        detect = ByModel(self._model, settings.score_threshold, self._classes).detect
        names, size = self._model.label_map, settings.batch_size
        result = annotate_images(wanted.images, out, detect, names, listing, size, report)
        found = request.summary(result.objects, settings.score_threshold)
        return Annotated(result, out, None, [f"{listing}: {found}"])

    def _loaded_second(self) -> side_by_side.SideBySide | None:
        settings = self._settings
        if not settings.side_by_side:
            return None
        folder = Path(settings.side_by_side)
        model = self._load(folder, manifest.load(folder, settings.trust))
        titles = side_by_side.titles(self._folder, folder)
        return side_by_side.of_model(model, settings.score_threshold, settings.classes, titles)

    def _load(self, folder: Path, description: manifest.Manifest) -> Detector:
        chosen = self._settings
        choices = (chosen.engine, chosen.device, chosen.precision, chosen.threads)
        model = Detector.load(folder, *choices, description)
        self._say(f"model: {folder} ({model.engine.explained()})")
        return model
