"""Pictures in, `Detections` out, with all three stages on the GPU.

Pre-processing, network and post-processing follow one another on one stream and are captured in a
CUDA graph together with the copies, so that a frame costs one launch and nobody waits within it.

**Written, not run yet**; `tools/gpu_check` runs it over a stand-in network.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from roadmark.detections import Detections
from roadmark.inference.cuda_runtime import Cuda, DeviceArray, nv12_planes
from roadmark.manifest import CLASS_AGNOSTIC, ONE_STAGE, Manifest
from roadmark.ops import cuda as operations
from roadmark.ops.postprocess import BOX_ENCODINGS, CLASS_LOGITS
from roadmark.ops.preprocess import resized_size


class DeviceNetwork(Protocol):
    """A network whose inputs and outputs are fixed places on the GPU.

    Attributes:
        inputs: float32, by the names in the manifest's `input`.
        outputs: float32, by the names in the manifest's `outputs`.
    """

    inputs: Mapping[str, DeviceArray]
    outputs: Mapping[str, DeviceArray]

    def enqueue(self, stream: Any) -> None:
        """Puts the network on a stream; may be captured from the second time on."""


@dataclasses.dataclass(frozen=True)
class _Slot:
    """What one batch at a time needs; several work side by side."""

    stream: Any
    launch: Callable[[], None]
    begin: Any
    done: Any
    pinned: np.ndarray
    pictures: DeviceArray
    found: Mapping[str, np.ndarray]


class CudaDetector:
    """A one-stage model for pictures of one size.

    Args:
        description: What the manifest says about the model.
        anchors: float32 `[N, 4]`, normalised.
        network: Makes a network with memory of its own, each time it is called.
        picture: Height and width of every picture, in pixels.
        batch: How many pictures there are in a call, all of which are given.
        score_threshold: Drops objects with this score or less, on top of the manifest's threshold.
        nv12: Of NV12 pictures on the GPU: their matrix, as in `roadmark.ops.preprocess`, and
            whether they use the full range. None for RGB on the host.
    """

    def __init__(
        self,
        description: Manifest,
        anchors: np.ndarray,
        network: Callable[[], DeviceNetwork],
        picture: tuple[int, int],
        batch: int = 1,
        score_threshold: float = 0.0,
        nv12: tuple[str, bool] | None = None,
    ) -> None:
        if description.postprocess.architecture != ONE_STAGE:
            raise ValueError("description: found two stages, which run on the CPU alone")
        self._description, self._network = description, network
        self._picture, self._batch, self._threshold = picture, batch, score_threshold
        self._nv12 = nv12
        self._cuda = Cuda()
        stream = self._cuda.stream()
        self._anchors = self._sent(np.ascontiguousarray(anchors, np.float32), stream)
        spec = description.input
        window = np.divide(resized_size(spec, *picture), (spec.height, spec.width))
        self._windows = self._sent(np.tile(window.astype(np.float32), (batch, 1)), stream)
        self._idle: list[_Slot] = []
        self.milliseconds = 0.0

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Finds objects; see `submit` and `result`."""
        return self.result(self.submit(images))

    def submit(self, images: Sequence[np.ndarray | DeviceArray]) -> _Slot:
        """Hands a batch to the GPU and returns at once.

        Args:
            images: `batch` of uint8 `[H, W, 3]` RGB; they may be changed as soon as it returns. Or
                up to `batch` of NV12 on the GPU, uint8 `[H * 3 / 2, W]`, which are ready and stay
                until `result` has returned; the results behind them mean nothing.
        """
        slot = self._idle.pop() if self._idle else self._new_slot()
        if self._nv12 is None:
            for target, image in zip(slot.pinned, images, strict=True):
                np.copyto(target, image)
        self._cuda.record(slot.begin, slot.stream)
        if self._nv12 is not None:
            self._copy(images, slot)
        slot.launch()
        self._cuda.record(slot.done, slot.stream)
        return slot

    def result(self, handle: _Slot) -> list[Detections]:
        """Waits for a batch: one `Detections` per picture, boxes in its pixels, best first.

        `milliseconds` is then how long the GPU had it.
        """
        self._cuda.wait(handle.done)
        self.milliseconds = self._cuda.milliseconds(handle.begin, handle.done)
        found = handle.found
        scale = np.float32((*self._picture, *self._picture))
        detections = [
            Detections(
                boxes=found["boxes"][index, :count] * scale,
                scores=found["scores"][index, :count].copy(),
                classes=found["classes"][index, :count] + np.int32(1),
            )
            for index, count in enumerate(found["counts"].tolist())
        ]
        self._idle.append(handle)
        return detections

    def _copy(self, images: Sequence[DeviceArray], slot: _Slot) -> None:
        for index, image in enumerate(images):
            target, (rows, width) = slot.pictures[index].pointer, image.shape
            sizes = (width, image.pointer, width, width, rows)
            self._cuda.copy_rows(target, *sizes, slot.stream)

    def _sent(self, array: np.ndarray, stream: Any) -> DeviceArray:
        pinned = self._cuda.pinned(array.shape, array.dtype)
        np.copyto(pinned, array)
        target = self._cuda.array(array.shape, array.dtype)
        self._cuda.copy_in(target, pinned, stream)
        self._cuda.synchronise(stream)
        return target

    def _new_slot(self) -> _Slot:
        cuda, stream, network = self._cuda, self._cuda.stream(), self._network()
        height, width = self._picture
        shape = (height, width, 3) if self._nv12 is None else (height * 3 // 2, width)
        pictures = cuda.array((self._batch, *shape), np.uint8)
        pinned = cuda.pinned((self._batch if self._nv12 is None else 0, *shape), np.uint8)
        pinned[:] = 0
        most = self._description.postprocess.nms.max_total
        out = operations.DetectionArrays(
            cuda.array((self._batch, most, 4), np.float32),
            cuda.array((self._batch, most), np.float32),
            cuda.array((self._batch, most), np.int32),
            cuda.array((self._batch, most), np.int64),
            cuda.array((self._batch,), np.int32),
        )
        needed = self._postprocess(network, None, None, stream)
        workspace = cuda.array((max(needed, 1),), np.uint8)
        copied = ("boxes", "scores", "classes", "counts")
        found = {
            name: cuda.pinned(getattr(out, name).shape, getattr(out, name).dtype) for name in copied
        }

        def work() -> None:
            if self._nv12 is None:
                cuda.copy_in(pictures, pinned, stream)
            self._preprocess(network, pictures, stream)
            network.enqueue(stream)
            self._postprocess(network, out, workspace, stream)
            for name in copied:
                cuda.copy_out(found[name], getattr(out, name), stream)

        # The first time is not captured: networks work out what is done once.
        work()
        cuda.synchronise(stream)
        launch = cuda.captured(work, stream)
        return _Slot(stream, launch, cuda.event(), cuda.event(), pinned, pictures, found)

    def _preprocess(self, network: DeviceNetwork, pictures: DeviceArray, stream: Any) -> None:
        spec = self._description.input
        batch = network.inputs[spec.name]
        for index in range(self._batch):
            planes, matrix, full_range = [pictures[index]], "bt601", False
            if self._nv12 is not None:
                planes = nv12_planes(pictures[index])
                matrix, full_range = self._nv12
            operations.preprocess(
                planes,
                matrix=matrix,
                full_range=full_range,
                resized=resized_size(spec, *self._picture),
                mean=spec.mean,
                scale=spec.scale,
                pad_value=spec.pad_value,
                layout=spec.layout,
                dtype=spec.dtype,
                out=batch[index],
                stream=int(stream),
            )

    def _postprocess(
        self,
        network: DeviceNetwork,
        out: operations.DetectionArrays | None,
        workspace: DeviceArray | None,
        stream: Any,
    ) -> int:
        spec = self._description.postprocess
        encodings = network.outputs[BOX_ENCODINGS]
        rows = encodings.shape[1]
        return operations.postprocess(
            network.outputs[CLASS_LOGITS],
            dataclasses.replace(encodings, shape=(self._batch, rows, 1, 4)),
            self._anchors,
            windows=self._windows,
            scale_factors=spec.box_coder.scale_factors,
            score_converter=spec.score_converter,
            logit_scale=spec.logit_scale,
            background_column=spec.background_column,
            class_agnostic=spec.nms.mode == CLASS_AGNOSTIC,
            score_threshold=max(self._threshold, spec.nms.score_threshold),
            iou_threshold=spec.nms.iou_threshold,
            max_per_class=spec.nms.max_per_class,
            max_total=spec.nms.max_total,
            soft_nms_sigma=spec.nms.soft_nms_sigma,
            out=out,
            workspace=workspace,
            stream=int(stream),
        )
