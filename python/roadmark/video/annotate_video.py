"""Decode, detect, draw, encode: from a video to an annotated one."""

import collections
import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
from rich.console import Console

from roadmark.errors import UserError
from roadmark.ops import annotate
from roadmark.progress import track
from roadmark.video import crops, gif_preview, gpu_choice, gpu_path, run_page, side_by_side
from roadmark.video import journal as journals
from roadmark.video.detections_file import DetectionsFile
from roadmark.video.frame_detector import FrameDetector
from roadmark.video.frame_pool import FramePool
from roadmark.video.gpu_path import Write
from roadmark.video.newest import Newest, is_live
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
from roadmark.video.sights import Sights
from roadmark.video.speed import Speed
from roadmark.video.speed_tag import SpeedTag
from roadmark.video.stages import Batch, Drawing, Looking, Writing
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
        dropped: Frames of a live source that were left out, because a newer one was there.
        seconds: Wall time from the first frame to the verified file.
        first_frame_s: Wall time from the call to the first frame that the encoder has taken.
        speed: What took how long.
        counted: What each line and zone has counted, by its title.
        objects_beside: Like `objects`, of the second model, if there is one.
    """

    frames: int
    objects: collections.Counter[str]
    skipped: int
    concealed: int
    dropped: int
    seconds: float
    first_frame_s: float
    speed: Speed
    counted: Mapping[str, Mapping[str, int]]
    objects_beside: collections.Counter[str]

    @property
    def losses(self) -> list[tuple[int, str]]:
        """Numbers of frames that are not as they were in the source, and in words why."""
        counts = (
            (self.skipped, "damaged packets skipped"),
            (self.concealed, "frames patched up"),
            (self.dropped, "frames dropped, as newer ones were there"),
        )
        return [(count, what) for count, what in counts if count]

    def print_to_terminal(self, out: Path, page: Path | None = None) -> None:
        """Prints what was written, what took how long and what a faster run needs."""
        damage = "".join(f", {count} {what}" for count, what in self.losses)
        Console(highlight=False).print(self.speed.to_table())
        print(f"{self.speed.fps:.1f} frames/s; bottleneck: {self.speed.bottleneck}")
        for title, counted in self.counted.items():
            print(f"{title}: {', '.join(f'{count} {what}' for what, count in counted.items())}")
        print(f"{out}: {self.frames} frames in {self.seconds:.1f} s{damage}")
        if page is not None:
            print(f"{page}: what was seen when and where")


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
        source: A video in any format that FFmpeg reads, a URL, a camera such as /dev/video0, or
            pictures that make a film (see `VideoReader`). Of a live source the newest frame is
            looked at, and what came before it in the meantime is dropped and counted.
        out: The file to write: .mp4, .mov, .mkv, .webm or .gif. It appears complete and verified.
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
    called, pool = time.monotonic(), FramePool()
    with (
        VideoReader(source, pool, options.span, options.fps) as reader,
        refusing_disk(out),
        contextlib.ExitStack() as stack,
    ):
        if out.exists() and reader.path.exists() and out.samefile(reader.path):
            raise UserError(out, "is the source itself", "choose another name with --out")
        if options.crops is not None and not options.resume:
            crops.check(options.crops)
        still = None if options.page is None else reader.first_frame.image
        live = is_live(str(source))
        gpu = gpu_path.begin(source, reader, out, detector, options, live, report)
        if gpu is not None:
            stack.enter_context(gpu_choice.explaining(source))
            reader, pool, detector = stack.enter_context(gpu.reader), gpu.surfaces, gpu.detector
        run = _Run(reader, pool, out, detector, names, options, report)
        run.prepare(live, still, None if gpu is None else gpu.writer)
        begin = time.monotonic()
        run.work(None if detections is None else Path(detections))
    if options.gif is not None:
        gif_preview.write(out, options.gif)
    return run.result(called, begin)


class _Run:
    """One video on its way."""

    def __init__(
        self,
        reader: VideoReader,
        pool: FramePool,
        out: Path,
        detector: FrameDetector,
        names: Mapping[int, str],
        options: VideoOptions,
        report: Report,
    ) -> None:
        self._reader, self._pool, self._out = reader, pool, out
        self._names, self._options, self._report = names, options, report
        self._second = options.side_by_side
        self._lines = out.with_suffix(journals.SUFFIX)
        self._job = options.job(reader.path)
        known = journals.load_interrupted(self._lines, self._job) if options.resume else {}
        self._looking = [
            Looking(0, detector, options.stride, known, options.tracker, options.counters)
        ]
        if self._second is not None:
            self._looking.append(Looking(1, self._second.detector, options.stride))

    def prepare(self, live: bool, still: np.ndarray | None, write: Write | None) -> None:
        """Does what is to be done once, before the clock starts.

        Args:
            live: Whether the source does not wait.
            still: The first frame for the page, or None.
            write: Makes the writer; None for one that encodes on the processor.
        """
        info = self._reader.info
        self._still = still
        self._write = write or functools.partial(VideoWriter, codec=self._options.codec)
        for counter in self._options.counters:
            counter.place(info.height, info.width)
        # A live source does not wait for more frames to come.
        self._batch_size = 1 if live else self._options.batch_size
        self._source: contextlib.AbstractContextManager[Iterable[Frame | av.Packet]] = (
            Newest(self._reader, self._pool) if live else contextlib.nullcontext(self._reader)
        )
        for looking in self._looking:
            looking.detector.warm_up([self._reader.first_frame] * self._batch_size)
        self._sights = None if self._options.page is None else Sights()

    def work(self, detections: Path | None) -> None:
        """Annotates the whole video, and verifies what was written."""
        out, report = self._out, self._report
        keeps_lines = detections is not None and detections.suffix == journals.SUFFIX
        listing = [] if detections is None or keeps_lines else [detections]
        with (
            journals.journal(self._lines, self._job, keeps_lines, report) as journal,
            whole_or_partial([out, *listing], report) as temporary,
        ):
            info = self._reader.info
            if self._second is not None:
                info = side_by_side.info(info)
            sound = self._reader.sound
            with contextlib.ExitStack() as stack:
                writer = self._write(temporary[0], info, sound, report)
                stack.enter_context(writer)
                names = self._names
                files = [stack.enter_context(DetectionsFile(t, names)) for t in temporary[1:]]
                meter = stack.enter_context(track("annotating", info.frames, "frames"))
                self._writing = Writing(
                    *(self._reader, names, writer, journal, files, meter),
                    *(self._pool, self._sights, self._second),
                )
                items = stack.enter_context(self._source)
                self._speed = self._run(items)
                for file in files:
                    file.describe({"speed": self._speed.to_dict()} | self._counted())
                _require_whole(self._reader, out)
            writer.verify(out)

    def result(self, called: float, begin: float) -> VideoResult:
        """What came of it, with the times at which the work was asked for and began."""
        reader, writing, source = self._reader, self._writing, self._source
        found = VideoResult(
            writing.writer.frames,
            writing.objects,
            reader.skipped,
            reader.concealed,
            source.dropped if isinstance(source, Newest) else 0,
            time.monotonic() - begin,
            writing.first_frame_at - called,
            self._speed,
            {counter.title: counter.counts for counter in self._options.counters},
            writing.objects_beside,
        )
        if self._options.page is not None:
            self._write_page(self._options.page, found)
        return found

    def _run(self, items: Iterable[Frame | av.Packet]) -> Speed:
        drawing = Drawing(
            self._names,
            self._options.crops,
            SpeedTag() if self._options.show_fps else None,
            self._options.counters,
            self._second,
            self._pool,
        )
        stages = (
            Stage("pre-process", self._each(Looking.preprocess)),
            Stage("infer", self._each(Looking.infer)),
            Stage("post-process", self._each(Looking.postprocess)),
            Stage("draw", drawing.draw),
            Stage("encode", self._writing.write),
        )
        fitting = _frames_in_flight(self._reader.info) // self._batch_size
        # Frames of a live source are to be new, and wait nowhere.
        is_live = isinstance(self._source, Newest)
        in_flight = max(_LEAST_BATCHES_IN_FLIGHT, 0 if is_live else fitting)
        try:
            return Pipeline("decode", stages, in_flight).run(_batches(items, self._batch_size))
        finally:
            for looking in self._looking:
                looking.detector.drain()

    def _each(self, step: Callable[[Looking, Batch], Batch]) -> Callable[[Batch], Batch]:
        """A step of every model's, one after the other."""

        def work(batch: Batch) -> Batch:
            for looking in self._looking:
                step(looking, batch)
            return batch

        return work

    def _counted(self) -> dict[str, Any]:
        """What lines and zones have counted, by class name, for the file of detections."""
        return {
            counter.title.replace(" ", "_"): {
                what: {annotate.class_name(self._names, id_): n for id_, n in counts.items()}
                for what, counts in counter.by_class().items()
            }
            for counter in self._options.counters
        }

    def _write_page(self, path: Path, found: VideoResult) -> None:
        options, reader = self._options, self._reader
        notes = [f"{count} {what}." for count, what in found.losses]
        if options.stride > 1:
            notes.append(f"One frame of {options.stride} was looked at.")
        facts = run_page.Facts(
            reader.path.name,
            options.about,
            found.frames,
            found.objects,
            notes,
            {title.replace("_", " "): counts for title, counts in self._counted().items()},
        )
        run_page.write(path, facts, self._sights, self._still, found.speed)


def _batches(items: Iterable[Frame | av.Packet], size: int) -> Iterator[Batch]:
    batch = Batch()
    for item in items:
        batch.items.append(item)
        if isinstance(item, Frame) and len(batch) == size:
            yield batch
            batch = Batch()
    if batch.items:
        yield batch


def _frames_in_flight(info: VideoInfo) -> int:
    bytes_per_frame = info.width * info.height * 3 // 2
    fitting = max(_LEAST_FRAMES_IN_FLIGHT, _BYTES_IN_FLIGHT // bytes_per_frame)
    return min(_FRAMES_IN_FLIGHT, fitting)


def _require_whole(reader: VideoReader, out: Path) -> None:
    if reader.stopped:
        raise UserError(
            reader.path,
            reader.stopped,
            f"what could be read is in {partial_path(out)}; get a whole copy of the video",
        )
