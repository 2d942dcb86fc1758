"""Decode, detect, draw, encode: from a video to an annotated one."""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from roadmark.errors import UserError
from roadmark.ops import annotate
from roadmark.progress import track
from roadmark.video import crops, gif_preview
from roadmark.video import journal as journals
from roadmark.video.detections_file import DetectionsFile
from roadmark.video.frame_detector import FrameDetector
from roadmark.video.frame_pool import FramePool
from roadmark.video.options import DEFAULTS, VideoOptions
from roadmark.video.partial import (
    Report,
    partial_path,
    print_report,
    refusing_disk,
    whole_or_partial,
)
from roadmark.video.pipeline import Pipeline, Stage
from roadmark.video.reader import Frame, VideoInfo, VideoReader
from roadmark.video.speed import Speed
from roadmark.video.speed_tag import SpeedTag
from roadmark.video.stages import Batch, Drawing, Looking, Writing
from roadmark.video.tracking import CountLine
from roadmark.video.writer import VideoWriter, check_output

# Frames under way: enough for every stage to have work while another hesitates, and fewer of 4K
# (12 MB each).
_FRAMES_IN_FLIGHT, _LEAST_FRAMES_IN_FLIGHT = 24, 12
_BYTES_IN_FLIGHT = 96_000_000
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
        crossed: How many objects have crossed the line, by direction, if there is one.
    """

    frames: int
    objects: collections.Counter[str]
    skipped: int
    concealed: int
    seconds: float
    first_frame_s: float
    speed: Speed
    crossed: Mapping[str, int]

    def print_to_terminal(self, out: Path) -> None:
        """Prints what was written, what took how long and what a faster run needs."""
        counts = (
            (self.skipped, "damaged packets skipped"),
            (self.concealed, "frames patched up"),
        )
        damage = "".join(f", {count} {what}" for count, what in counts if count)
        Console(highlight=False).print(self.speed.to_table())
        print(f"{self.speed.fps:.1f} frames/s; bottleneck: {self.speed.bottleneck}")
        if self.crossed:
            ways = ", ".join(f"{count} {way}" for way, count in self.crossed.items())
            print(f"crossed the line: {ways}")
        print(f"{out}: {self.frames} frames in {self.seconds:.1f} s{damage}")


def annotate_video(
    source: str | Path,
    out: str | Path,
    detector: FrameDetector,
    names: Mapping[int, str],
    detections: str | Path | None = None,
    options: VideoOptions = DEFAULTS,
    report: Report = print_report,
) -> VideoResult:
    """Draws what `detector` finds on every frame of a video.

    Decoding, the steps of the detector, drawing and encoding overlap, each in a thread of its own;
    memory does not depend on the length. The detector looks at the samples of the video, drawing
    changes them in place, and those that it does not touch reach the encoder as they were decoded.
    Times, frame rate, pixel shape, colours and sound stay as they are; a rotated clip is turned
    upright. A packet that cannot be decoded is skipped and counted.

    Args:
        source: A video in any format that FFmpeg reads, a URL, or a camera such as /dev/video0.
        out: The file to write: .mp4, .mov, .mkv or .webm. It appears complete and verified.
        detector: Finds the objects in a batch of frames.
        names: Class name by id.
        detections: Also writes all detections here: .json, .csv or .txt (see `DetectionsFile`), or
            .jsonl (see `Journal`).
        options: Choices.
        report: Takes notices for the user.

    Returns:
        Counts of what was written.

    Raises:
        UserError: `source` is not a video, `out` cannot be written, or the video ends before it
            should. In that last case, and when the program is stopped, what was written is kept,
            playable, as `NAME.partial.mp4`, with nothing under the final name, and what was found
            as `NAME.partial.jsonl`, for `options.resume`.
    """
    out = Path(out)
    check_output(out, options.codec)
    lines = out.with_suffix(journals.SUFFIX)
    keeps_lines = detections is not None and Path(detections).suffix == journals.SUFFIX
    listing = [] if detections is None or keeps_lines else [Path(detections)]
    called, pool = time.monotonic(), FramePool()
    with VideoReader(source, pool, options.span) as reader, refusing_disk(out):
        if out.exists() and reader.path.exists() and out.samefile(reader.path):
            raise UserError(out, "is the source itself", "choose another name with --out")
        if options.crops is not None and not options.resume:
            crops.check(options.crops)
        job = options.job(reader.path)
        known = journals.load_interrupted(lines, job) if options.resume else {}
        detector.warm_up([reader.first_frame] * options.batch_size)
        begin = time.monotonic()
        with (
            journals.journal(lines, job, keeps_lines, report) as journal,
            whole_or_partial([out, *listing], report) as temporary,
        ):
            with contextlib.ExitStack() as stack:
                writer = VideoWriter(temporary[0], reader.info, reader.sound, report, options.codec)
                stack.enter_context(writer)
                files = [stack.enter_context(DetectionsFile(t, names)) for t in temporary[1:]]
                meter = stack.enter_context(track("annotating", reader.info.frames, "frames"))
                looking = Looking(
                    detector, options.stride, known, options.tracker, options.count_line
                )
                tag = SpeedTag() if options.show_fps else None
                drawing = Drawing(names, options.crops, tag, options.count_line)
                writing = Writing(reader, names, writer, journal, files, meter, pool)
                speed = _run(reader, looking, drawing, writing, options.batch_size)
                info = {"speed": speed.to_dict()} | _crossed(options.count_line, names)
                for file in files:
                    file.describe(info)
                _require_whole(reader, out)
            writer.verify(out)
    if options.gif is not None:
        gif_preview.write(out, options.gif)
    return VideoResult(
        writer.frames,
        writing.objects,
        reader.skipped,
        reader.concealed,
        time.monotonic() - begin,
        writing.first_frame_at - called,
        speed,
        {} if options.count_line is None else options.count_line.counts,
    )


def _batches(reader: VideoReader, size: int) -> Iterator[Batch]:
    batch = Batch()
    for item in reader:
        batch.items.append(item)
        if isinstance(item, Frame) and len(batch) == size:
            yield batch
            batch = Batch()
    if batch.items:
        yield batch


def _run(
    reader: VideoReader,
    looking: Looking,
    drawing: Drawing,
    writing: Writing,
    batch_size: int,
) -> Speed:
    stages = (
        Stage("pre-process", looking.preprocess),
        Stage("infer", looking.infer),
        Stage("post-process", looking.postprocess),
        Stage("draw", drawing.draw),
        Stage("encode", writing.write),
    )
    in_flight = max(_LEAST_BATCHES_IN_FLIGHT, _frames_in_flight(reader.info) // batch_size)
    try:
        return Pipeline("decode", stages, in_flight).run(_batches(reader, batch_size))
    finally:
        looking.detector.drain()


def _frames_in_flight(info: VideoInfo) -> int:
    bytes_per_frame = info.width * info.height * 3 // 2
    fitting = max(_LEAST_FRAMES_IN_FLIGHT, _BYTES_IN_FLIGHT // bytes_per_frame)
    return min(_FRAMES_IN_FLIGHT, fitting)


def _crossed(line: CountLine | None, names: Mapping[int, str]) -> dict[str, Any]:
    """How many of which class have crossed the line, for the file of detections."""
    if line is None:
        return {}
    ways = {
        way: {annotate.class_name(names, class_id): count for class_id, count in counts.items()}
        for way, counts in line.by_class().items()
    }
    return {"crossed_the_line": ways}


def _require_whole(reader: VideoReader, out: Path) -> None:
    if reader.stopped:
        raise UserError(
            reader.path,
            reader.stopped,
            f"what could be read is in {partial_path(out)}; get a whole copy of the video",
        )
