"""What the stages between decoder and encoder do to a batch of frames."""

import collections
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from roadmark.detections import Detections
from roadmark.ops import annotate
from roadmark.progress import Meter
from roadmark.video import crops, side_by_side
from roadmark.video.counting import Counter
from roadmark.video.detections_file import DetectionsFile
from roadmark.video.frame_detector import FrameDetector
from roadmark.video.frame_pool import FramePool
from roadmark.video.journal import Journal
from roadmark.video.reader import Frame, VideoReader
from roadmark.video.side_by_side import SideBySide
from roadmark.video.sights import Sights
from roadmark.video.speed_tag import SpeedTag
from roadmark.video.tracking import Tracker
from roadmark.video.writer import VideoWriter


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a frame shows.

    Attributes:
        found: The objects.
        trails: Where each of them was; None when nothing is tracked.
        counts: What each line and zone has counted so far.
        is_new: Whether all this is of this very frame, and not of one before.
    """

    found: Detections
    trails: Sequence[np.ndarray] | None = None
    counts: Sequence[dict[str, int]] = ()
    is_new: bool = True


@dataclasses.dataclass
class View:
    """What one model makes of a batch.

    Attributes:
        looked_at: The frames that the detector is given.
        inputs: Of the detector.
        outputs: Of the detector; until it is done, the handle by which to ask for them.
        shown: What each frame shows.
    """

    looked_at: Sequence[Frame] = ()
    inputs: Any = None
    outputs: Any = None
    shown: list[Shown] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Batch:
    """Frames that go through the stages together, and the sound between them.

    Attributes:
        items: Frames and packets of sound, in the order of the source.
        views: Of each model, the first one's first.
        drawn: What is to be encoded of each frame.
    """

    items: list[Frame | av.Packet] = dataclasses.field(default_factory=list)
    views: list[View] = dataclasses.field(default_factory=list)
    drawn: list[av.VideoFrame] = dataclasses.field(default_factory=list)

    @property
    def frames(self) -> list[Frame]:
        """The frames among the items."""
        return [item for item in self.items if isinstance(item, Frame)]

    def __len__(self) -> int:
        return len(self.frames)


@dataclasses.dataclass
class Looking:
    """The stages that find objects with one model.

    Attributes:
        number: The model's, from 0.
        detector: Looks at frames.
        stride: At every such frame.
        known: What was found before, by frame; the detector need not look there.
        tracker: Follows the objects, if wanted.
        counters: Count them at lines and in zones.
    """

    number: int
    detector: FrameDetector
    stride: int
    known: Mapping[int, Detections] = dataclasses.field(default_factory=dict)
    tracker: Tracker | None = None
    counters: Sequence[Counter] = ()
    _last: Shown = dataclasses.field(default_factory=lambda: Shown(Detections.empty()))

    def preprocess(self, batch: Batch) -> Batch:
        """Chooses the frames to look at, and hands them to the network.

        It does not wait: the network has its next batch when it is done with the one before.
        """
        looked_at = [
            frame
            for frame in batch.frames
            if frame.index % self.stride == 0 and frame.index not in self.known
        ]
        view = View(looked_at)
        if looked_at:
            view.inputs = self.detector.preprocess(looked_at)
            view.outputs = self.detector.submit(view.inputs)
        batch.views.append(view)
        return batch

    def infer(self, batch: Batch) -> Batch:
        """Waits for the network."""
        view = batch.views[self.number]
        if view.looked_at:
            view.outputs = self.detector.result(view.outputs)
        return batch

    def postprocess(self, batch: Batch) -> Batch:
        """Makes detections of its outputs, follows the objects, and says what each frame shows."""
        found: dict[int, Detections] = {}
        view = batch.views[self.number]
        if view.looked_at:
            results = self.detector.postprocess(view.inputs, view.outputs)
            found = dict(zip((one.index for one in view.looked_at), results, strict=True))
        for frame in batch.frames:
            new = found.get(frame.index, self.known.get(frame.index))
            if new is not None:
                self._last = self._follow(new, frame.time_s)
            view.shown.append(dataclasses.replace(self._last, is_new=new is not None))
        view.inputs = view.outputs = None
        return batch

    def _follow(self, found: Detections, time_s: float) -> Shown:
        if self.tracker is None:
            return Shown(found)
        tracked = self.tracker.update(found, time_s)
        for counter in self.counters:
            counter.update(tracked.detections)
        counts = [counter.counts for counter in self.counters]
        return Shown(tracked.detections, tracked.trails, counts)


@dataclasses.dataclass
class Drawing:
    """The stage that draws.

    Attributes:
        names: Class name by id.
        crops: Where pictures of the objects go, if anywhere.
        speed: Shows the speed, if wanted.
        counters: Are shown.
        side_by_side: The second model, if there is one.
        pool: Gives the memory of wider frames.
    """

    names: Mapping[int, str]
    crops: Path | None
    speed: SpeedTag | None
    counters: Sequence[Counter]
    side_by_side: SideBySide | None
    pool: FramePool

    def draw(self, batch: Batch) -> Batch:
        """Draws on the frames in place, or on both halves of wider ones."""
        shown = zip(*(view.shown for view in batch.views), strict=True)
        for frame, of_models in zip(batch.frames, shown, strict=True):
            first = of_models[0]
            if self.crops is not None and first.is_new and len(first.found):
                crops.save(self.crops, frame.index, frame.image, first.found, self.names)
            if self.side_by_side is None:
                batch.drawn.append(frame.yuv)
                self._draw(frame.canvas, first)
            else:
                batch.drawn.append(self._draw_both(frame, of_models, self.side_by_side))
        return batch

    def _draw(self, picture: annotate.Yuv420 | annotate.Canvas, shown: Shown) -> None:
        annotate.draw(picture, shown.found, self.names, shown.trails)
        for counter, counts in zip(self.counters, shown.counts, strict=False):
            counter.draw(picture, counts)
        if self.speed is not None:
            self.speed.draw(picture)

    def _draw_both(self, frame: Frame, shown: Sequence[Shown], models: SideBySide) -> av.VideoFrame:
        wide = side_by_side.twice(frame, self.pool)
        left, right = (
            _picture(frame, side_by_side.side(wide, number, frame.size[1])) for number in (0, 1)
        )
        self._draw(left, shown[0])
        annotate.draw(right, shown[1].found, models.names)
        for picture, title in zip((left, right), models.titles, strict=True):
            side_by_side.draw_title(picture, title)
        return wide


def _picture(frame: Frame, planes: tuple[np.ndarray, ...]) -> annotate.Yuv420:
    return annotate.Yuv420(planes, frame.colour.luma_weights, frame.colour.full_range)


@dataclasses.dataclass
class Writing:
    """The stage that writes, and where the frames of one video go.

    Attributes:
        reader: The source.
        names: Class name by id.
        writer: Takes frames and sound.
        journal: Takes what was found, line by line.
        files: Take what was found.
        meter: Counts frames.
        pool: Takes frames back.
        sights: Takes what was found for the run's page, if wanted.
        side_by_side: The second model, if there is one.
        objects: Number of detections by class name, so far.
        objects_beside: Likewise of the second model.
        first_frame_at: When the encoder took the first frame, by `time.monotonic`.
    """

    reader: VideoReader
    names: Mapping[int, str]
    writer: VideoWriter
    journal: Journal
    files: list[DetectionsFile]
    meter: Meter
    pool: FramePool
    sights: Sights | None
    side_by_side: SideBySide | None
    objects: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    objects_beside: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    first_frame_at: float = 0.0

    def write(self, batch: Batch) -> None:
        """Encodes frames, copies sound, and writes down what was found."""
        shown = zip(*(view.shown for view in batch.views), strict=True)
        frames = zip(shown, batch.drawn, strict=True)
        for item in batch.items:
            if isinstance(item, Frame):
                self._add(item, *next(frames))
            else:
                self.writer.copy_sound(item, self.reader.start_of(item.stream))

    def _add(self, frame: Frame, shown: Sequence[Shown], drawn: av.VideoFrame) -> None:
        self.writer.write(drawn, frame.pts)
        self.first_frame_at = self.first_frame_at or time.monotonic()
        self.meter.advance()
        if shown[0].is_new:
            self._note(frame, shown[0].found)
        if self.side_by_side is not None and shown[1].is_new:
            names, classes = self.side_by_side.names, shown[1].found.classes
            self.objects_beside.update(annotate.class_name(names, id_) for id_ in classes)
        for picture in {id(one): one for one in (drawn, frame.yuv)}.values():
            self.pool.give_back(picture)

    def _note(self, frame: Frame, found: Detections) -> None:
        self.journal.add(frame.index, frame.time_s, found)
        for file in self.files:
            file.add(self.reader.path.name, frame.size, found, frame.index, frame.time_s)
        classes = [annotate.class_name(self.names, id_) for id_ in found.classes]
        self.objects.update(classes)
        if self.sights is not None:
            self.sights.add(frame.time_s, frame.size, classes, found.boxes)
