"""Has an exported model look at frames in a GPU's memory; only what it found comes to the host."""

import collections
import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from roadmark.detections import Detections
from roadmark.inference import device_memory
from roadmark.inference.detector import Detector
from roadmark.inference.device_memory import Array, Stream
from roadmark.inference.engine import TENSORFLOW
from roadmark.manifest import CLASS_AGNOSTIC
from roadmark.ops.postprocess import BOX_ENCODINGS, CLASS_LOGITS
from roadmark.ops.preprocess import resized_size
from roadmark.video.frame_detector import ByModel
from roadmark.video.reader import Frame, VideoInfo


@dataclasses.dataclass(frozen=True)
class Part:
    """What the network takes at once.

    Attributes:
        batch: The network's input; rows behind the frames have any content.
        frames: How many frames are in it.
    """

    batch: Array
    frames: int


@dataclasses.dataclass(frozen=True)
class _Outputs:
    """Post-processing's arrays for a batch size."""

    windows: Array
    arrays: Any
    workspace: Array


class GpuDetector:
    """A `FrameDetector` of `GpuFrame`s, for a one-stage model whose engine is on the GPU.

    Each stage has a stream and waits for it, so that nothing is used before it is there.

    Args:
        look: The model, and what of its findings is wanted.
        info: What the frames look like.
    """

    def __init__(self, look: ByModel, info: VideoInfo) -> None:
        self._model: Detector = look.model
        self._wanted = look.wanted
        self._score_threshold = look.score_threshold
        self._info = info
        self._before, self._network, self._after = Stream(), Stream(), Stream()
        self._anchors = self._copied(np.asarray(self._model.anchors, np.float32))
        self._batches: collections.deque[Array] = collections.deque()
        self._outputs: dict[int, _Outputs] = {}
        self._running: collections.deque[list[Any]] = collections.deque()

    def warm_up(self, frames: Sequence[Frame]) -> None:
        """See `FrameDetector`."""
        parts = self.preprocess(frames)
        self.postprocess(parts, self.result(self.submit(parts)))

    def preprocess(self, frames: Sequence[Frame]) -> list[Part]:
        """See `FrameDetector`."""
        size = self._model.engine.batch_size or len(frames)
        parts = [
            self._part(frames[begin : begin + size], size) for begin in range(0, len(frames), size)
        ]
        self._before.wait()
        return parts

    def submit(self, inputs: list[Part]) -> list[Any]:
        """See `FrameDetector`."""
        name = self._model.manifest.input.name
        handles = [
            self._model.engine.submit({name: part.batch}, self._network.handle) for part in inputs
        ]
        self._running.append(handles)
        return handles

    def result(self, handle: list[Any]) -> list[dict[str, Array]]:
        """See `FrameDetector`."""
        self._running.popleft()
        found = [self._model.engine.result(one) for one in handle]
        if self._model.engine.name == TENSORFLOW:
            # It works on a stream of its own, and has not waited for that.
            device_memory.wait_for_all()
        return [
            {name: device_memory.imported(one[name]) for name in (CLASS_LOGITS, BOX_ENCODINGS)}
            for one in found
        ]

    def postprocess(self, inputs: list[Part], outputs: list[dict[str, Array]]) -> list[Detections]:
        """See `FrameDetector`."""
        found = []
        for part, raw in zip(inputs, outputs, strict=True):
            found += self._detections(raw, len(part.batch))[: part.frames]
            self._batches.append(part.batch)
        return self._wanted(found)

    def drain(self) -> None:
        """See `FrameDetector`."""
        while self._running:
            for handle in self._running.popleft():
                with contextlib.suppress(Exception):  # Of a batch that nobody asks for.
                    self._model.engine.result(handle)

    def _part(self, frames: Sequence[Frame], size: int) -> Part:
        from roadmark.ops import cuda

        spec, batch = self._model.manifest.input, self._batch(size)
        for index, frame in enumerate(frames):
            cuda.preprocess(
                frame.yuv.planes,
                resized=self._resized,
                mean=spec.mean,
                scale=spec.scale,
                pad_value=spec.pad_value,
                matrix=frame.colour.model_matrix,
                full_range=frame.colour.full_range,
                layout=spec.layout,
                dtype=spec.dtype,
                out=batch[index],
                stream=self._before.handle,
            )
        return Part(batch, len(frames))

    @property
    def _resized(self) -> tuple[int, int]:
        return resized_size(self._model.manifest.input, self._info.height, self._info.width)

    def _batch(self, size: int) -> Array:
        with contextlib.suppress(IndexError):
            known = self._batches.popleft()
            if len(known) == size:
                return known
        spec = self._model.manifest.input
        sides = (spec.height, spec.width)
        shape = (size, 3, *sides) if spec.layout == "NCHW" else (size, *sides, 3)
        return device_memory.allocate(shape, spec.dtype)

    def _detections(self, raw: dict[str, Array], images: int) -> list[Detections]:
        from roadmark.ops import cuda

        outputs = self._outputs.get(images)
        if outputs is None:
            outputs = self._outputs[images] = self._prepared(raw, images)
        self._postprocess(raw, outputs.windows, outputs.arrays, outputs.workspace)
        arrays: cuda.DetectionArrays = outputs.arrays
        wanted = (arrays.boxes, arrays.scores, arrays.classes, arrays.counts)
        boxes, scores, classes, counts = (self._after.download(array) for array in wanted)
        self._after.wait()
        size = np.float32((self._info.height, self._info.width) * 2)
        return [
            Detections(boxes[i, :n] * size, scores[i, :n], classes[i, :n] + np.int32(1))
            for i, n in enumerate(counts.tolist())
        ]

    def _prepared(self, raw: dict[str, Array], images: int) -> _Outputs:
        from roadmark.ops import cuda

        spec, most = self._model.manifest, self._model.manifest.postprocess.nms.max_total
        share = np.float32(self._resized) / np.float32((spec.input.height, spec.input.width))
        windows = self._copied(np.tile(share, (images, 1)))
        arrays = cuda.DetectionArrays(
            device_memory.allocate((images, most, 4), np.float32),
            device_memory.allocate((images, most), np.float32),
            device_memory.allocate((images, most), np.int32),
            device_memory.allocate((images, most), np.int64),
            device_memory.allocate((images,), np.int32),
        )
        size = self._postprocess(raw, windows, None, None)
        return _Outputs(windows, arrays, device_memory.allocate((max(size, 1),), np.uint8))

    def _postprocess(
        self, raw: dict[str, Array], windows: Array, out: Any, workspace: Array | None
    ) -> int:
        from roadmark.ops import cuda

        spec = self._model.manifest.postprocess
        logits, encodings = raw[CLASS_LOGITS], raw[BOX_ENCODINGS]
        return cuda.postprocess(
            logits,
            encodings.reshaped(*logits.shape[:2], 1, 4),
            self._anchors,
            windows=windows,
            scale_factors=spec.box_coder.scale_factors,
            score_converter=spec.score_converter,
            logit_scale=spec.logit_scale,
            background_column=spec.background_column,
            class_agnostic=spec.nms.mode == CLASS_AGNOSTIC,
            score_threshold=max(self._score_threshold, spec.nms.score_threshold),
            iou_threshold=spec.nms.iou_threshold,
            max_per_class=spec.nms.max_per_class,
            max_total=spec.nms.max_total,
            soft_nms_sigma=spec.nms.soft_nms_sigma,
            out=out,
            workspace=workspace,
            stream=self._after.handle,
        )

    def _copied(self, values: np.ndarray) -> Array:
        array = device_memory.allocate(values.shape, values.dtype)
        self._after.upload(np.ascontiguousarray(values), array)
        self._after.wait()
        return array
