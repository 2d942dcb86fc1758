"""Decode, detect, draw, encode: from a video to an annotated one."""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.ops import annotate
from roadmark.progress import Meter, track
from roadmark.video import yuv_frame
from roadmark.video.colour import Colour
from roadmark.video.detections_file import DetectionsFile
from roadmark.video.partial import (
    Report,
    partial_path,
    print_report,
    refusing_disk,
    whole_or_partial,
)
from roadmark.video.reader import Frame, VideoReader
from roadmark.video.writer import VideoWriter, check_output

Detect = Callable[[list[np.ndarray]], list[Detections]]
"""Takes uint8 `[H, W, 3]` RGB images of one batch, gives one `Detections` per image."""


@dataclasses.dataclass(frozen=True)
class VideoResult:
    """What came of a video.

    Attributes:
        frames: Frames written.
        objects: Number of detections by class name, over all frames.
        skipped: Damaged packets that could not be decoded and are missing from the result.
        concealed: Damaged frames that the decoder patched up; they are in the result.
        seconds: Wall time from the first frame to the verified file.
    """

    frames: int
    objects: collections.Counter[str]
    skipped: int
    concealed: int
    seconds: float


def annotate_video(
    source: str | Path,
    out: str | Path,
    detect: Detect,
    names: Mapping[int, str],
    detections: str | Path | None = None,
    batch_size: int = 1,
    report: Report = print_report,
) -> VideoResult:
    """Draws what `detect` finds on every frame of a video.

    Frames are read, drawn on and written in turn; memory does not depend on the length. Only
    `detect` sees RGB: drawing is done on the samples of the video, and those that it does not touch
    reach the encoder as they were decoded. Times,
    frame rate, pixel shape, colours and sound stay as they are; a rotated clip is turned upright.
    A packet that cannot be decoded is skipped and counted.

    Args:
        source: A video in any format that FFmpeg reads.
        out: The file to write: .mp4, .mov, .mkv or .webm. It appears complete and verified.
        detect: Finds the objects in a batch of frames.
        names: Class name by id.
        detections: Also writes all detections here, .json or .csv (see `DetectionsFile`).
        batch_size: Frames per call of `detect`.
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
    with (
        VideoReader(source) as reader,
        refusing_disk(out),
        whole_or_partial(files, report) as temporary,
    ):
        if out.exists() and out.samefile(source):
            raise UserError(out, "is the source itself", "choose another name with --out")
        begin = time.monotonic()
        with contextlib.ExitStack() as stack:
            writer = VideoWriter(temporary[0], reader.info, reader.sound, report)
            stack.enter_context(writer)
            listings = [stack.enter_context(DetectionsFile(t, names)) for t in temporary[1:]]
            meter = stack.enter_context(track("annotating", reader.info.frames, "frames"))
            output = _Output(source.name, names, reader.info.colour, writer, listings, meter)
            _annotate(reader, output, detect, batch_size)
            _require_whole(reader, out)
        writer.verify(out)
    return VideoResult(
        writer.frames, output.objects, reader.skipped, reader.concealed, time.monotonic() - begin
    )


@dataclasses.dataclass
class _Output:
    """Where the frames of one video go."""

    file_name: str
    names: Mapping[int, str]
    colour: Colour
    writer: VideoWriter
    listings: list[DetectionsFile]
    meter: Meter
    objects: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def add(self, frame: Frame, found: Detections) -> None:
        size = frame.image.shape[:2]
        planes, colour = yuv_frame.planes(frame.yuv), self.colour
        picture = annotate.Yuv420(planes, colour.luma_weights, colour.full_range)
        annotate.draw(picture, found, self.names)
        self.writer.write(frame.yuv, frame.pts)
        for listing in self.listings:
            listing.add(self.file_name, size, found, frame.index, frame.time_s)
        self.objects.update(annotate.class_name(self.names, id_) for id_ in found.classes)
        self.meter.advance()


def _annotate(reader: VideoReader, output: _Output, detect: Detect, batch_size: int) -> None:
    batch: list[Frame] = []
    for item in reader:
        if not isinstance(item, Frame):
            output.writer.copy_sound(item, reader.start_of(item.stream))
            continue
        batch.append(item)
        if len(batch) == batch_size:
            _annotate_batch(batch, output, detect)
            batch = []
    if batch:
        _annotate_batch(batch, output, detect)


def _annotate_batch(batch: list[Frame], output: _Output, detect: Detect) -> None:
    found = detect([frame.image for frame in batch])
    for frame, detections in zip(batch, found, strict=True):
        output.add(frame, detections)


def _require_whole(reader: VideoReader, out: Path) -> None:
    if reader.stopped:
        raise UserError(
            reader.path,
            reader.stopped,
            f"what could be read is in {partial_path(out)}; get a whole copy of the video",
        )
