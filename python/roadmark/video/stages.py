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
from roadmark.video import crops, yuv_frame
from roadmark.video.detections_file import DetectionsFile
from roadmark.video.frame_detector import FrameDetector
from roadmark.video.frame_pool import FramePool
from roadmark.video.journal import Journal
from roadmark.video.reader import Frame, VideoReader
from roadmark.video.speed_tag import SpeedTag
from roadmark.video.tracking import CountLine, Tracker
from roadmark.video.writer import VideoWriter


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a frame shows.

    Attributes:
        found: The objects.
        trails: Where each of them was; None when nothing is tracked.
        counts: How many have crossed the line so far, if there is one.
        is_new: Whether all this is of this very frame, and not of one before.
    """

    found: Detections
    trails: Sequence[np.ndarray] | None = None
    counts: dict[str, int] | None = None
    is_new: bool = True


@dataclasses.dataclass
class Batch:
    """Frames that go through the stages together, and the sound between them.

    Attributes:
        items: Frames and packets of sound, in the order of the source.
        looked_at: The frames that the detector is given.
        inputs: Of the detector.
        outputs: Of the detector; until it is done, the handle by which to ask for them.
        shown: What each frame shows.
    """

    items: list[Frame | av.Packet] = dataclasses.field(default_factory=list)
    looked_at: Sequence[Frame] = ()
    inputs: Any = None
    outputs: Any = None
    shown: list["Shown"] = dataclasses.field(default_factory=list)

    @property
    def frames(self) -> list[Frame]:
        """The frames among the items."""
        return [item for item in self.items if isinstance(item, Frame)]

    def __len__(self) -> int:
        return len(self.frames)


@dataclasses.dataclass
class Looking:
    """The stages that find objects.

    Attributes:
        detector: Looks at frames.
        stride: At every such frame.
        known: What was found before, by frame; the detector need not look there.
        tracker: Follows the objects, if wanted.
        count_line: Counts those that cross it, if wanted.
    """

    detector: FrameDetector
    stride: int
    known: Mapping[int, Detections]
    tracker: Tracker | None
    count_line: CountLine | None
    _last: Shown = dataclasses.field(default_factory=lambda: Shown(Detections.empty()))

    def preprocess(self, batch: Batch) -> Batch:
        """Chooses the frames to look at, and hands them to the network.

        It does not wait: the network has its next batch when it is done with the one before.
        """
        batch.looked_at = [
            frame
            for frame in batch.frames
            if frame.index % self.stride == 0 and frame.index not in self.known
        ]
        if batch.looked_at:
            batch.inputs = self.detector.preprocess(batch.looked_at)
            batch.outputs = self.detector.submit(batch.inputs)
        return batch

    def infer(self, batch: Batch) -> Batch:
        """Waits for the network."""
        if batch.looked_at:
            batch.outputs = self.detector.result(batch.outputs)
        return batch

    def postprocess(self, batch: Batch) -> Batch:
        """Makes detections of its outputs, follows the objects, and says what each frame shows."""
        found: dict[int, Detections] = {}
        if batch.looked_at:
            results = self.detector.postprocess(batch.inputs, batch.outputs)
            found = dict(zip((one.index for one in batch.looked_at), results, strict=True))
        for frame in batch.frames:
            new = found.get(frame.index, self.known.get(frame.index))
            if new is not None:
                self._last = self._follow(new, frame.time_s)
            batch.shown.append(dataclasses.replace(self._last, is_new=new is not None))
        batch.inputs = batch.outputs = None
        return batch

    def _follow(self, found: Detections, time_s: float) -> Shown:
        if self.tracker is None:
            return Shown(found)
        tracked = self.tracker.update(found, time_s)
        if self.count_line is None:
            return Shown(tracked.detections, tracked.trails)
        self.count_line.update(tracked.detections)
        return Shown(tracked.detections, tracked.trails, self.count_line.counts)


@dataclasses.dataclass
class Drawing:
    """The stage that draws.

    Attributes:
        names: Class name by id.
        crops: Where pictures of the objects go, if anywhere.
        speed: Shows the speed, if wanted.
        count_line: Is shown, if there is one.
    """

    names: Mapping[int, str]
    crops: Path | None
    speed: SpeedTag | None
    count_line: CountLine | None

    def draw(self, batch: Batch) -> Batch:
        """Draws on the frames in place."""
        for frame, shown in zip(batch.frames, batch.shown, strict=True):
            if self.crops is not None and shown.is_new and len(shown.found):
                crops.save(self.crops, frame.index, frame.image, shown.found, self.names)
            planes, colour = yuv_frame.planes(frame.yuv), frame.colour
            picture = annotate.Yuv420(planes, colour.luma_weights, colour.full_range)
            annotate.draw(picture, shown.found, self.names, shown.trails)
            if self.count_line is not None and shown.counts is not None:
                self.count_line.draw(picture, shown.counts)
            if self.speed is not None:
                self.speed.draw(picture)
        return batch


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
        objects: Number of detections by class name, so far.
        first_frame_at: When the encoder took the first frame, by `time.monotonic`.
    """

    reader: VideoReader
    names: Mapping[int, str]
    writer: VideoWriter
    journal: Journal
    files: list[DetectionsFile]
    meter: Meter
    pool: FramePool
    objects: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    first_frame_at: float = 0.0

    def write(self, batch: Batch) -> None:
        """Encodes frames, copies sound, and writes down what was found."""
        shown = iter(batch.shown)
        for item in batch.items:
            if isinstance(item, Frame):
                self._add(item, next(shown))
            else:
                self.writer.copy_sound(item, self.reader.start_of(item.stream))

    def _add(self, frame: Frame, shown: Shown) -> None:
        self.writer.write(frame.yuv, frame.pts)
        self.first_frame_at = self.first_frame_at or time.monotonic()
        self.pool.give_back(frame.yuv)
        self.meter.advance()
        if not shown.is_new:
            return
        found = shown.found
        self.journal.add(frame.index, frame.time_s, found)
        for file in self.files:
            file.add(self.reader.path.name, frame.size, found, frame.index, frame.time_s)
        self.objects.update(annotate.class_name(self.names, id_) for id_ in found.classes)
