"""Roadmark's `annotate_video`, and the parts of it alone."""

import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

from roadmark.detections import Detections
from roadmark.inference import openvino_engine  # noqa: F401 - its import is not what is timed
from roadmark.inference.detector import Detector
from roadmark.manifest import FIXED_SHAPE, InputSpec
from roadmark.ops.preprocess import preprocess
from roadmark.video import ByModel, VideoOptions, VideoResult, annotate_video
from roadmark.video.reader import Frame, VideoReader

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]

_SIDE = 640
_BOXES = 10
_NAMES = {1: "vehicle", 2: "pedestrian", 3: "cyclist"}
_SPEC = InputSpec(
    name="image",
    height=_SIDE,
    width=_SIDE,
    resize=FIXED_SHAPE,
    min_dimension=0,
    max_dimension=0,
    mean=(127.5,) * 3,
    scale=(1 / 127.5,) * 3,
    pad_value=(0.0,) * 3,
    channel_order="RGB",
    layout="NHWC",
    dtype="float32",
    true_shapes_name="",
)


class _Sleeping:
    """A detector with real pre-processing, whose network only takes time.

    Like a device with a queue it begins a batch when the one before it is done.

    Args:
        seconds: Per frame.
        boxes: How many it says to have found in each frame.
    """

    def __init__(self, seconds: float, boxes: int) -> None:
        self._seconds = seconds
        rng = np.random.default_rng(0)
        corners = rng.uniform(0, 0.8, (boxes, 2)) * (720, 1280)
        sizes = rng.uniform(0.02, 0.2, (boxes, 2)) * (720, 1280)
        self._found = Detections(
            np.concatenate([corners, corners + sizes], axis=1).astype(np.float32),
            np.full(boxes, 0.9, np.float32),
            rng.integers(1, 4, boxes).astype(np.int32),
        )
        self._batch = np.empty((0, _SIDE, _SIDE, 3), np.float32)
        self._free_at = 0.0

    def warm_up(self, frames: Sequence[Frame]) -> None:
        self._batch = np.empty((len(frames), _SIDE, _SIDE, 3), np.float32)

    def preprocess(self, frames: Sequence[Frame]) -> int:
        preprocess([frame.picture for frame in frames], _SPEC, self._batch[: len(frames)])
        return len(frames)

    def submit(self, inputs: int) -> tuple[int, float]:
        self._free_at = max(self._free_at, time.monotonic()) + self._seconds * inputs
        return inputs, self._free_at

    def result(self, handle: tuple[int, float]) -> int:
        count, done_at = handle
        time.sleep(max(0.0, done_at - time.monotonic()))
        return count

    def postprocess(self, inputs: int, outputs: int) -> list[Detections]:
        del inputs
        return [self._found] * outputs

    def drain(self) -> None:
        pass


def annotating(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """The whole clip.

    Options: clip, batch_size, and model, precision and score_threshold, or sleep_s and boxes.

    The result: what the frames show, as `shown_boxes.compare` takes it, and `frames`, their number;
    `resident_mb` of growth over the last nine tenths; `speed`, the stages as JSON in bytes;
    `engine`, its name and precision in bytes.
    """
    del arrays
    engine = "no engine"
    if "model" in options:
        model = _load(options, threads)
        engine = f"{model.engine.name} {model.engine.precision}"
        detector = ByModel(model, options["score_threshold"])
    else:
        detector = _Sleeping(options["sleep_s"], options["boxes"])

    def call() -> tuple[VideoResult, float, str]:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            out = Path(folder, "out.mp4")
            watched = _Watched(detector)
            result = annotate_video(
                options["clip"],
                out,
                watched,
                _NAMES,
                out.with_suffix(".json"),
                VideoOptions(options["batch_size"]),
            )
            return result, watched.growth_mb, out.with_suffix(".json").read_text()

    def read(made: tuple[VideoResult, float, str]) -> Arrays:
        result, growth_mb, listing = made
        speed = json.dumps(result.speed.to_dict()).encode()
        return {
            "frames": np.array(result.frames),
            **_shown(json.loads(listing)["annotations"]),
            "resident_mb": np.array(growth_mb),
            "first_frame_s": np.array(result.first_frame_s),
            "speed": np.frombuffer(speed, np.uint8),
            "engine": np.frombuffer(engine.encode(), np.uint8),
        }

    return call, read


def _load(options: Mapping[str, Any], threads: int) -> Detector:
    """As `infer` loads it."""
    return Detector.load(options["model"], precision=options["precision"], threads=threads)


def _shown(annotations: Sequence[Mapping[str, Any]]) -> Arrays:
    """COCO's annotations of a clip, in the order of its frames."""
    boxes = np.array([one["bbox"] for one in annotations], np.float32).reshape(-1, 4)
    corners = boxes[:, [1, 0]]
    return {
        "frame": np.array([one["image_id"] - 1 for one in annotations], np.int64),
        "boxes": np.hstack([corners, corners + boxes[:, [3, 2]]]),
        "classes": np.array([one["category_id"] for one in annotations], np.int64),
        "scores": np.array([one["score"] for one in annotations], np.float32),
    }


class _Watched:
    """Passes everything on, and notes resident memory."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self._resident: list[int] = []
        self.warm_up, self.preprocess = detector.warm_up, detector.preprocess
        self.result, self.postprocess = detector.result, detector.postprocess
        self.drain = detector.drain

    def submit(self, inputs: Any) -> Any:
        self._resident.append(psutil.Process().memory_info().rss)
        return self._detector.submit(inputs)

    @property
    def growth_mb(self) -> float:
        """From a tenth of the clip, when all is warm, to its end."""
        return (self._resident[-1] - self._resident[len(self._resident) // 10]) / 1e6


def starting(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """From the exported folder to the first frame written, everything being imported."""
    del arrays

    def call() -> Arrays:
        begin = time.perf_counter()
        detector = ByModel(_load(options, threads), 0.5)
        loaded = time.perf_counter() - begin
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            out = Path(folder, "out.mp4")
            result = annotate_video(options["clip"], out, detector, _NAMES)
        return {"seconds": np.array(loaded + result.first_frame_s)}

    return call, lambda found: found


def scoring(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """The score between the box number `boxes` of the first frame and the next one."""
    del arrays
    detector = _load(options, threads)
    with VideoReader(options["clip"]) as reader:
        picture = reader.first_frame.picture

    def call() -> Arrays:
        scores = detector.detect([picture])[0].scores
        last = min(options["boxes"], len(scores) - 1)
        return {"score": scores[last - 1 : last + 1].mean(dtype=np.float64)}

    return call, lambda found: found


def decoding(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Only decoding, as FFmpeg does it."""
    del arrays, threads

    def decode() -> int:
        with av.open(options["clip"]) as container:
            return sum(1 for _ in container.decode(video=0))

    return _processor_time(decode)


def encoding(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Only encoding, of frames in memory that are used again and again."""
    del arrays, threads
    with VideoReader(options["clip"]) as reader:
        frames = [item.yuv for item, _ in zip(_frames(reader), range(100), strict=False)]
        count = reader.info.frames

    def encode() -> int:
        with tempfile.TemporaryDirectory() as folder, av.open(f"{folder}/a.mp4", "w") as container:
            stream = container.add_stream("libx264", rate=30, options=options["encoder"])
            stream.width, stream.height = frames[0].width, frames[0].height
            stream.pix_fmt = "yuv420p"
            stream.thread_type = "AUTO"
            for index in range(count):
                frame = frames[index % len(frames)]
                frame.pts, frame.time_base = index, Fraction(1, 30)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return count

    return _processor_time(encode)


def running_the_network(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Only the network, on one batch that is used again and again."""
    del arrays
    detector = ByModel(_load(options, threads), 0.5)
    with VideoReader(options["clip"]) as reader:
        inputs = detector.preprocess([reader.first_frame] * options["batch_size"])
    batches = 100 // options["batch_size"]

    def infer() -> int:
        for _ in range(batches):
            detector.result(detector.submit(inputs))
        return batches * options["batch_size"]

    infer()
    return _processor_time(infer)


def _frames(reader: VideoReader) -> Iterator[Frame]:
    return (item for item in reader if isinstance(item, Frame))


def _processor_time(work: Callable[[], int]) -> Timed:
    """`work` gives a number of frames; the result is the processor time of one, in seconds."""

    def call() -> Arrays:
        begin = time.process_time()
        frames = work()
        return {"cpu_s": np.array((time.process_time() - begin) / frames)}

    return call, lambda found: found
