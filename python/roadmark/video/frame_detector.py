"""The detector's part in a video, in steps that overlap with those of other frames."""

import collections
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.inference.detector import Detector, Inputs, Submitted
from roadmark.video.reader import Frame

Detect = Callable[[list[np.ndarray]], list[Detections]]
"""Takes uint8 `[H, W, 3]` RGB images of one batch, gives one `Detections` per image."""


def class_ids(names: Mapping[int, str], wanted: Sequence[str]) -> list[int]:
    """The ids of classes by their names.

    Args:
        names: Class name by id.
        wanted: As the user gave them.

    Raises:
        UserError: The model does not know one of them.
    """
    ids = {name: class_id for class_id, name in names.items()}
    for name in wanted:
        if name not in ids:
            known = ", ".join(sorted(ids))
            raise UserError("--classes", f"found {name!r}", f"this model knows: {known}")
    return [ids[name] for name in wanted]


class FrameDetector(Protocol):
    """Finds objects in batches of frames. Each step is called in a thread of its own."""

    def warm_up(self, frames: Sequence[Frame]) -> None:
        """Does once what makes the first batch slow; `frames` are as those to come."""

    def preprocess(self, frames: Sequence[Frame]) -> Any:
        """Makes the inputs of one batch. The frames are not yet drawn on."""

    def submit(self, inputs: Any) -> Any:
        """Hands inputs to the network without waiting for it; gives a handle for `result`."""

    def result(self, handle: Any) -> Any:
        """Waits for the outputs of one batch."""

    def postprocess(self, inputs: Any, outputs: Any) -> list[Detections]:
        """One `Detections` per frame, boxes in its pixels. The inputs are not needed after it."""

    def drain(self) -> None:
        """Waits for batches that were submitted and whose outputs nobody wants any more."""


class ByFunction:
    """Has a function look at RGB pictures.

    Args:
        detect: The function.
    """

    def __init__(self, detect: Detect) -> None:
        self._detect = detect

    def warm_up(self, frames: Sequence[Frame]) -> None:
        """Nothing that is known of needs it."""

    def preprocess(self, frames: Sequence[Frame]) -> list[np.ndarray]:
        """See `FrameDetector`."""
        return [frame.image for frame in frames]

    def submit(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """See `FrameDetector`; a function has to be waited for, which `result` does."""
        return inputs

    def result(self, handle: list[np.ndarray]) -> list[Detections]:
        """See `FrameDetector`."""
        return self._detect(handle)

    def postprocess(self, inputs: Any, outputs: list[Detections]) -> list[Detections]:
        """See `FrameDetector`."""
        del inputs
        return outputs

    def drain(self) -> None:
        """Nothing runs between `submit` and `result`."""


class ByModel:
    """Has an exported model look at the samples of the video, without making RGB of them.

    Args:
        detector: The model.
        score_threshold: Drops objects with this score or less.
        classes: Ids of the classes to keep; all when empty.

    Attributes:
        model: The model.
        score_threshold: See the arguments.
        classes: See the arguments.
    """

    def __init__(
        self, detector: Detector, score_threshold: float, classes: Sequence[int] = ()
    ) -> None:
        self.model = detector
        self.score_threshold = score_threshold
        self.classes = tuple(classes)
        # Batches are tens of megabytes, so their memory is used again.
        self._buffers: collections.deque[np.ndarray] = collections.deque()
        self._running: collections.deque[Submitted] = collections.deque()

    @property
    def identity(self) -> str:
        """What the results depend on: the weights, what runs them, and what is left out."""
        weights = self.model.manifest.weights_sha256[:16]
        classes = ",".join(map(str, sorted(self.classes))) or "all"
        return f"{weights}, {self.model.engine}, above {self.score_threshold}, {classes}"

    def warm_up(self, frames: Sequence[Frame]) -> None:
        """See `FrameDetector`."""
        inputs = self.preprocess(frames)
        self.postprocess(inputs, self.result(self.submit(inputs)))

    def preprocess(self, frames: Sequence[Frame]) -> Inputs:
        """See `FrameDetector`."""
        buffer = self._buffers.popleft() if self._buffers else None
        if buffer is not None and len(buffer) < len(frames):
            buffer = None
        out = None if buffer is None else buffer[: len(frames)]
        return self.model.preprocess([frame.picture for frame in frames], out)

    def submit(self, inputs: Inputs) -> Submitted:
        """See `FrameDetector`."""
        handle = self.model.start(inputs)
        self._running.append(handle)
        return handle

    def result(self, handle: Submitted) -> dict[str, np.ndarray]:
        """See `FrameDetector`; batches are asked for in the order in which they were submitted."""
        self._running.popleft()
        return self.model.outputs(handle)

    def postprocess(self, inputs: Inputs, outputs: dict[str, np.ndarray]) -> list[Detections]:
        """See `FrameDetector`."""
        batch = inputs.arrays[self.model.manifest.input.name]
        self._buffers.append(batch if batch.base is None else batch.base)
        return self.wanted(self.model.postprocess(outputs, inputs, self.score_threshold))

    def drain(self) -> None:
        """See `FrameDetector`; the engine reads from memory that must stay until it is done."""
        while self._running:
            with contextlib.suppress(Exception):  # Of a batch that nobody asks for.
                self.model.outputs(self._running.popleft())

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Looks at RGB pictures; see `Detector.detect`."""
        return self.wanted(self.model.detect(images, self.score_threshold))

    def wanted(self, found: list[Detections]) -> list[Detections]:
        """What was found, without the classes that are not to be kept."""
        if not self.classes:
            return found
        return [one.select(np.isin(one.classes, self.classes)) for one in found]
