"""Pictures of many requests, put together into batches for one network.

A batch begins when it is full, or when the network has nothing to do and its first picture has
waited long enough. So a lone picture hardly waits, and under load batches fill up by themselves
while the network is busy. Two threads serve a network: one puts batches together and submits them,
the next one while the last is worked on; the other waits for results and post-processes them.
"""

import collections
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from roadmark.detections import Detections
from roadmark.inference.detector import Detector, Inputs, Submitted
from roadmark.ops.preprocess import YuvPicture

# One is worked on, and one waits in the engine so that it never pauses.
_IN_ENGINE = 2
OnBatch = Callable[[int, float], None]
"""Takes the pictures of a batch, and the seconds from its submission to its detections."""


@dataclasses.dataclass(frozen=True)
class _Waiting:
    inputs: Inputs
    score_threshold: float
    since: float
    found: "Future[Detections]"


@dataclasses.dataclass(frozen=True)
class _Running:
    pictures: list[_Waiting]
    inputs: Inputs
    handle: Submitted
    begin: float


class Batcher:
    """Runs a detector on pictures that come one by one, from any thread.

    Args:
        detector: The model.
        batch_size: The largest batch.
        delay_s: How long a picture waits for others when the network has nothing to do.
        on_batch: Told about every batch.
    """

    def __init__(
        self, detector: Detector, batch_size: int, delay_s: float, on_batch: OnBatch
    ) -> None:
        self.batch_size = detector.engine.batch_size or batch_size
        self._detector = detector
        self._delay_s = delay_s
        self._on_batch = on_batch
        self._waiting: collections.deque[_Waiting] = collections.deque()
        self._changed = threading.Condition()
        self._in_engine = 0
        self._is_closed = False
        # Inputs are megabytes each, so their memory is used again.
        spare = 2 * self.batch_size
        self._rows: collections.deque[np.ndarray] = collections.deque(maxlen=spare)
        self._batches: collections.deque[np.ndarray] = collections.deque()
        self._running: queue.SimpleQueue[_Running | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=work, name=work.__name__.strip("_"), daemon=True)
            for work in (self._submit_batches, self._finish_batches)
        ]
        for thread in self._threads:
            thread.start()

    def put(
        self, image: np.ndarray | YuvPicture, score_threshold: float, found: "Future[Detections]"
    ) -> None:
        """Pre-processes a picture here and now, and has it wait for its batch.

        Args:
            image: uint8 `[H, W, 3]` RGB. It is not needed afterwards.
            score_threshold: Drops objects with this score or less.
            found: Where the result goes. One that is cancelled before its batch begins is left out.

        Raises:
            ValueError: The picture has a shape that the network's input cannot be made of.
        """
        inputs = self._detector.preprocess([image], self._spare_row())
        with self._changed:
            self._waiting.append(_Waiting(inputs, score_threshold, time.monotonic(), found))
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Pictures whose batch has not begun."""
        return len(self._waiting)

    def close(self) -> None:
        """Finishes what waits, and ends the threads. Nothing may be `put` any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _spare_row(self) -> np.ndarray | None:
        try:
            return self._rows.popleft()
        except IndexError:
            return None

    def _submit_batches(self) -> None:
        while pictures := self._next_batch():
            try:
                inputs = self._together(pictures)
                begin = time.monotonic()
                handle = self._detector.start(inputs)
            except Exception as error:  # Each engine has its own kinds.
                self._leave_engine()
                _fail(pictures, error)
                continue
            self._running.put(_Running(pictures, inputs, handle, begin))
        self._running.put(None)

    def _next_batch(self) -> list[_Waiting]:
        """Waits for the next batch; an empty one when closed and all is done."""
        with self._changed:
            while self._waiting or not self._is_closed:
                if not self._may_begin():
                    self._changed.wait(self._patience())
                elif taken := self._take():
                    self._in_engine += 1
                    return taken
            return []

    def _may_begin(self) -> bool:
        if len(self._waiting) >= self.batch_size:
            return self._in_engine < _IN_ENGINE
        if not self._waiting or self._in_engine:
            return False
        return self._is_closed or self._patience() == 0

    def _patience(self) -> float | None:
        """Seconds until the first picture has waited long enough; None when none waits for that."""
        if not self._waiting or self._in_engine:
            return None
        return max(0.0, self._waiting[0].since + self._delay_s - time.monotonic())

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        while self._waiting and len(taken) < self.batch_size:
            first = self._waiting.popleft()
            if first.found.set_running_or_notify_cancel():
                taken.append(first)
        return taken

    def _together(self, pictures: Sequence[_Waiting]) -> Inputs:
        arrays = {
            name: np.concatenate(
                [one.inputs.arrays[name] for one in pictures],
                out=self._memory(pictures) if name == self._main_input else None,
            )
            for name in pictures[0].inputs.arrays
        }
        self._rows.extend(one.inputs.arrays[self._main_input] for one in pictures)
        return Inputs(arrays, tuple(one.inputs.sizes[0] for one in pictures))

    @property
    def _main_input(self) -> str:
        return self._detector.manifest.input.name

    def _memory(self, pictures: Sequence[_Waiting]) -> np.ndarray:
        row = pictures[0].inputs.arrays[self._main_input]
        if self._batches:
            whole = self._batches.popleft()
        else:
            whole = np.empty((self.batch_size, *row.shape[1:]), row.dtype)
        return whole[: len(pictures)]

    def _finish_batches(self) -> None:
        while running := self._running.get():
            try:
                outputs = self._detector.outputs(running.handle)
                self._leave_engine()
            except Exception as error:  # Each engine has its own kinds.
                self._leave_engine()
                _fail(running.pictures, error)
                continue
            self._batches.append(running.inputs.arrays[self._main_input].base)
            try:
                self._answer(running, outputs)
            except Exception as error:  # Outputs that the manifest does not describe.
                _fail(running.pictures, error)

    def _leave_engine(self) -> None:
        with self._changed:
            self._in_engine -= 1
            self._changed.notify_all()

    def _answer(self, running: _Running, outputs: dict[str, Any]) -> None:
        lowest = min(one.score_threshold for one in running.pictures)
        found = self._detector.postprocess(outputs, running.inputs, lowest)
        self._on_batch(len(found), time.monotonic() - running.begin)
        for one, detections in zip(running.pictures, found, strict=True):
            kept = detections.scores > one.score_threshold
            one.found.set_result(detections if kept.all() else detections.select(kept))


def _fail(pictures: Sequence[_Waiting], error: Exception) -> None:
    for one in pictures:
        if not one.found.done():
            one.found.set_exception(error)
