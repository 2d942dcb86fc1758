"""Decode, detect, draw, encode: from a video to an annotated one."""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av

from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.ops import annotate
from roadmark.progress import Meter, track
from roadmark.video import yuv_frame
from roadmark.video.detections_file import DetectionsFile
from roadmark.video.frame_detector import FrameDetector
from roadmark.video.frame_pool import FramePool
from roadmark.video.partial import (
    Report,
    partial_path,
    print_report,
    refusing_disk,
    whole_or_partial,
)
from roadmark.video.pipeline import Pipeline, Stage
from roadmark.video.reader import Frame, VideoReader
from roadmark.video.speed import Speed
from roadmark.video.writer import VideoWriter, check_output

# Frames under way: enough for every stage to have work, few enough for 4K (12 MB each).
_FRAMES_IN_FLIGHT = 12
_LEAST_BATCHES_IN_FLIGHT = 5


@dataclasses.dataclass(frozen=True)
class VideoResult:
    """What came of a video.

    Attributes:
        frames: Frames written.
        objects: Number of detections by class name, over all frames.
        skipped: Damaged packets that could not be decoded and are missing from the result.
        concealed: Damaged frames that the decoder patched up; they are in the result.
        seconds: Wall time from the first frame to the verified file.
        first_frame_s: Wall time from the call to the first frame that the encoder has taken.
        speed: What took how long.
    """

    frames: int
    objects: collections.Counter[str]
    skipped: int
    concealed: int
    seconds: float
    first_frame_s: float
    speed: Speed


def annotate_video(
    source: str | Path,
    out: str | Path,
    detector: FrameDetector,
    names: Mapping[int, str],
    detections: str | Path | None = None,
    batch_size: int = 1,
    report: Report = print_report,
) -> VideoResult:
    """Draws what `detector` finds on every frame of a video.

    Decoding, the steps of the detector, drawing and encoding overlap, each in a thread of its own;
    memory does not depend on the length. The detector looks at the samples of the video, drawing
    changes them in place, and those that it does not touch reach the encoder as they were decoded.
    Times, frame rate, pixel shape, colours and sound stay as they are; a rotated clip is turned
    upright. A packet that cannot be decoded is skipped and counted.

    Args:
        source: A video in any format that FFmpeg reads.
        out: The file to write: .mp4, .mov, .mkv or .webm. It appears complete and verified.
        detector: Finds the objects in a batch of frames.
        names: Class name by id.
        detections: Also writes all detections here, .json or .csv (see `DetectionsFile`).
        batch_size: Frames that the detector is given at a time; at the end there may be fewer.
        report: Takes notices for the user.

    Returns:
        Counts of what was written.

    Raises:
        UserError: `source` is not a video, `out` cannot be written, or the video ends before it
            should. In that last case, and when the program is stopped, what was written is kept,
            playable, as `NAME.partial.mp4`, with nothing under the final name.
    """
    source, out = Path(source), Path(out)
    check_output(out)
    files = [out] if detections is None else [out, Path(detections)]
    called, pool = time.monotonic(), FramePool()
    with (
        VideoReader(source, pool) as reader,
        refusing_disk(out),
        whole_or_partial(files, report) as temporary,
    ):
        if out.exists() and out.samefile(source):
            raise UserError(out, "is the source itself", "choose another name with --out")
        detector.warm_up([reader.first_frame] * batch_size)
        begin = time.monotonic()
        with contextlib.ExitStack() as stack:
            writer = VideoWriter(temporary[0], reader.info, reader.sound, report)
            stack.enter_context(writer)
            listings = [stack.enter_context(DetectionsFile(t, names)) for t in temporary[1:]]
            meter = stack.enter_context(track("annotating", reader.info.frames, "frames"))
            output = _Output(reader, names, writer, listings, meter, pool)
            speed = _annotate(reader, output, detector, batch_size)
            for listing in listings:
                listing.describe({"speed": speed.to_dict()})
            _require_whole(reader, out)
        writer.verify(out)
    return VideoResult(
        writer.frames,
        output.objects,
        reader.skipped,
        reader.concealed,
        time.monotonic() - begin,
        output.first_frame_at - called,
        speed,
    )


@dataclasses.dataclass
class _Batch:
    """Frames that the detector is given together, and the sound between them.

    Attributes:
        items: Frames and packets of sound, in the order of the source.
        inputs: Of the detector.
        outputs: Of the detector.
        found: What is in each frame.
    """

    items: list[Frame | av.Packet] = dataclasses.field(default_factory=list)
    inputs: Any = None
    outputs: Any = None
    found: Sequence[Detections] = ()

    @property
    def frames(self) -> list[Frame]:
        return [item for item in self.items if isinstance(item, Frame)]

    def __len__(self) -> int:
        return len(self.frames)


def _batches(reader: VideoReader, size: int) -> Iterator[_Batch]:
    batch = _Batch()
    for item in reader:
        batch.items.append(item)
        if isinstance(item, Frame) and len(batch) == size:
            yield batch
            batch = _Batch()
    if batch.items:
        yield batch


def _annotate(
    reader: VideoReader, output: "_Output", detector: FrameDetector, batch_size: int
) -> Speed:
    looking = _Looking(detector)
    stages = (
        Stage("pre-process", looking.preprocess),
        Stage("infer", looking.infer),
        Stage("post-process", looking.postprocess),
        Stage("draw", output.draw),
        Stage("encode", output.write),
    )
    in_flight = max(_LEAST_BATCHES_IN_FLIGHT, _FRAMES_IN_FLIGHT // batch_size)
    return Pipeline("decode", stages, in_flight).run(_batches(reader, batch_size))


@dataclasses.dataclass
class _Looking:
    """The stages that find objects."""

    detector: FrameDetector

    def preprocess(self, batch: _Batch) -> _Batch:
        if batch.frames:
            batch.inputs = self.detector.preprocess(batch.frames)
        return batch

    def infer(self, batch: _Batch) -> _Batch:
        if batch.frames:
            batch.outputs = self.detector.infer(batch.inputs)
        return batch

    def postprocess(self, batch: _Batch) -> _Batch:
        if batch.frames:
            batch.found = self.detector.postprocess(batch.inputs, batch.outputs)
        batch.inputs = batch.outputs = None
        return batch


@dataclasses.dataclass
class _Output:
    """The stages that draw and write, and where the frames of one video go."""

    reader: VideoReader
    names: Mapping[int, str]
    writer: VideoWriter
    listings: list[DetectionsFile]
    meter: Meter
    pool: FramePool
    objects: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    first_frame_at: float = 0.0

    def draw(self, batch: _Batch) -> _Batch:
        for frame, found in zip(batch.frames, batch.found, strict=True):
            planes, colour = yuv_frame.planes(frame.yuv), frame.colour
            picture = annotate.Yuv420(planes, colour.luma_weights, colour.full_range)
            annotate.draw(picture, found, self.names)
        return batch

    def write(self, batch: _Batch) -> None:
        found = iter(batch.found)
        for item in batch.items:
            if isinstance(item, Frame):
                self._add(item, next(found))
            else:
                self.writer.copy_sound(item, self.reader.start_of(item.stream))

    def _add(self, frame: Frame, found: Detections) -> None:
        self.writer.write(frame.yuv, frame.pts)
        self.first_frame_at = self.first_frame_at or time.monotonic()
        for listing in self.listings:
            listing.add(self.reader.path.name, frame.size, found, frame.index, frame.time_s)
        self.objects.update(annotate.class_name(self.names, id_) for id_ in found.classes)
        self.pool.give_back(frame.yuv)
        self.meter.advance()


def _require_whole(reader: VideoReader, out: Path) -> None:
    if reader.stopped:
        raise UserError(
            reader.path,
            reader.stopped,
            f"what could be read is in {partial_path(out)}; get a whole copy of the video",
        )
