"""Has an exported model look at frames in a GPU's memory; only what it found comes to the host."""

import collections
import contextlib
from collections.abc import Sequence
from typing import Any

from roadmark.detections import Detections
from roadmark.inference.cuda_detector import CudaDetector
from roadmark.video.frame_detector import ByModel
from roadmark.video.reader import Frame, VideoInfo


class GpuDetector:
    """A `FrameDetector` of `GpuFrame`s, for a one-stage model in TensorRT.

    Args:
        look: The model, and what of its findings is wanted.
        info: What the frames look like.
        batch_size: Frames that go through the network together, unless the engine has a size.
    """

    def __init__(self, look: ByModel, info: VideoInfo, batch_size: int) -> None:
        model = look.model
        size = self._size = model.engine.batch_size or batch_size
        self._wanted = look.wanted
        self._runner = CudaDetector(
            model.manifest,
            model.anchors,
            lambda: model.engine.network(size),
            (info.height, info.width),
            size,
            look.score_threshold,
            (info.colour.model_matrix, info.colour.full_range),
        )
        self._running: collections.deque[list[Any]] = collections.deque()

    def warm_up(self, frames: Sequence[Frame]) -> None:
        """See `FrameDetector`."""
        self.result(self.submit(frames))

    def preprocess(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """See `FrameDetector`; it is done with what follows, in one go."""
        return frames

    def submit(self, inputs: Sequence[Frame]) -> list[Any]:
        """See `FrameDetector`."""
        pictures = [frame.yuv.memory for frame in inputs]
        parts = range(0, len(pictures), self._size)
        handles = [self._runner.submit(pictures[first : first + self._size]) for first in parts]
        self._running.append(handles)
        return handles

    def result(self, handle: list[Any]) -> list[Detections]:
        """See `FrameDetector`."""
        self._running.popleft()
        return [found for part in handle for found in self._runner.result(part)]

    def postprocess(
        self, inputs: Sequence[Frame], outputs: Sequence[Detections]
    ) -> list[Detections]:
        """See `FrameDetector`; what lies behind the frames of the last batch is nobody's."""
        return self._wanted(list(outputs[: len(inputs)]))

    def drain(self) -> None:
        """See `FrameDetector`."""
        while self._running:
            for handle in self._running.popleft():
                with contextlib.suppress(Exception):  # Of a batch that nobody asks for.
                    self._runner.result(handle)
