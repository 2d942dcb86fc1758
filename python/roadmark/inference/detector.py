"""Pictures in, `Detections` out: pre-processing, an engine and post-processing joined."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roadmark import manifest
from roadmark.detections import Detections
from roadmark.inference import engine as engines
from roadmark.inference import engine_nms, fixed_batch
from roadmark.manifest import ONE_STAGE, Manifest
from roadmark.ops.postprocess import postprocess
from roadmark.ops.preprocess import YuvPicture, preprocess, resized_size

ANCHORS_FILE = "anchors.npy"
_DLPACK_CPU = 1  # kDLCPU in dlpack.h.


@dataclasses.dataclass(frozen=True)
class Inputs:
    """A batch that is ready for the network.

    Attributes:
        arrays: By the names in the manifest's `input`.
        sizes: `(height, width)` in pixels of each original picture.
    """

    arrays: dict[str, np.ndarray]
    sizes: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Submitted:
    """A batch that the engine works on.

    Attributes:
        handles: The engine's, one for each part that it takes at once.
        sizes: `(height, width)` in pixels of each original picture.
    """

    handles: Sequence[Any]
    sizes: tuple[tuple[int, int], ...]


class Detector:
    """An exported model, ready to look at pictures.

    Attributes:
        manifest: What the folder says about the model.
        label_map: Class name by id.
        engine: What runs the network.
        anchors: float32 `[N, 4]` normalised to the network's input; None for two stages.

    Example:
        detector = Detector.load("runs/demo/export")
        found, = detector.detect([image], score_threshold=0.5)
    """

    def __init__(
        self, description: Manifest, engine: engines.Engine, anchors: np.ndarray | None
    ) -> None:
        self.manifest = description
        self.label_map: Mapping[int, str] = description.names()
        self.engine = engine
        self.anchors = anchors

    @classmethod
    def load(
        cls,
        folder: str | Path,
        engine: str = engines.AUTO,
        device: str = engines.AUTO,
        precision: str = engines.EXPORTED,
        threads: int = 0,
        description: Manifest | None = None,
    ) -> "Detector":
        """Loads an exported folder; see `Engine.load` for device, precision and threads.

        Args:
            folder: As `roadmark.export` writes it.
            engine: One of `engine.ENGINES`, or `auto`.
            device: One of `engine.DEVICES`, or `auto`.
            precision: One of `engine.PRECISIONS`, `exported` or `auto`.
            threads: CPU threads to use, 0 for one per core.
            description: What `manifest.load` gave for the folder; None to have it loaded, which
                reads every file to verify it.

        Raises:
            UserError: The folder is not whole, or this machine lacks what was asked for.
        """
        if description is None:
            description = manifest.load(folder)
        anchors = None
        if description.postprocess.architecture == ONE_STAGE:
            anchors = np.load(Path(folder) / ANCHORS_FILE)
        loaded = engines.load(folder, description, engine, device, precision, threads)
        return cls(description, loaded, anchors)

    def detect(
        self, images: Sequence[np.ndarray | YuvPicture], score_threshold: float = 0.0
    ) -> list[Detections]:
        """Finds objects in one batch of pictures.

        Args:
            images: uint8 `[H, W, 3]` RGB each, or the planes of video frames; sizes may differ.
            score_threshold: Drops objects with this score or less.

        Returns:
            One `Detections` per picture, boxes in its pixels, best first.
        """
        return self.result(self.submit(images), score_threshold)

    def submit(self, images: Sequence[np.ndarray | YuvPicture]) -> Submitted:
        """Pre-processes a batch and hands it to the engine, without waiting for the outputs."""
        return self.start(self.preprocess(images))

    def preprocess(
        self, images: Sequence[np.ndarray | YuvPicture], out: np.ndarray | None = None
    ) -> Inputs:
        """Makes the network's inputs of one batch; see `roadmark.ops.preprocess`."""
        spec = self.manifest.input
        sizes = tuple(image.shape[:2] for image in images)
        arrays = {spec.name: preprocess(images, spec, out)}
        if spec.true_shapes_name:
            shapes = [(*resized_size(spec, *size), 3) for size in sizes]
            arrays[spec.true_shapes_name] = np.array(shapes, np.int32)
        return Inputs(arrays, sizes)

    def start(self, inputs: Inputs) -> Submitted:
        """Hands a batch to the engine, without waiting for the outputs.

        Args:
            inputs: Must stay untouched until `outputs` has returned.
        """
        parts = fixed_batch.split(inputs.arrays, self.engine.batch_size)
        return Submitted([self.engine.submit(part) for part in parts], inputs.sizes)

    def result(self, submitted: Submitted, score_threshold: float = 0.0) -> list[Detections]:
        """Waits for a submitted batch and post-processes it; see `detect`."""
        return self.postprocess(self.outputs(submitted), submitted, score_threshold)

    def outputs(self, submitted: Submitted) -> dict[str, np.ndarray]:
        """Waits for the raw outputs of a submitted batch."""
        parts = [self.engine.result(handle) for handle in submitted.handles]
        on_host = [{name: _on_host(output) for name, output in one.items()} for one in parts]
        return fixed_batch.join(on_host, len(submitted.sizes))

    def postprocess(
        self,
        outputs: Mapping[str, np.ndarray],
        batch: Submitted | Inputs,
        score_threshold: float = 0.0,
    ) -> list[Detections]:
        """Post-processes raw outputs of a batch; see `detect`."""
        if self.engine.has_nms:
            return engine_nms.detections(outputs, self.manifest.input, batch.sizes, score_threshold)
        return postprocess(
            outputs,
            self.anchors,
            self.manifest.postprocess,
            self.manifest.input,
            batch.sizes,
            score_threshold,
        )


def _on_host(buffer: engines.Buffer) -> np.ndarray:
    on_cpu = buffer.__dlpack_device__()[0] == _DLPACK_CPU
    return np.from_dlpack(buffer) if on_cpu else np.asarray(buffer)
