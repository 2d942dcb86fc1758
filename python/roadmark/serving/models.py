"""Models by name, each of which can be replaced by a newer one while it is at work."""

import asyncio
import contextlib
import dataclasses
import functools
import math
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np

from roadmark import locations, manifest
from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.inference.detector import Detector
from roadmark.serving import pictures
from roadmark.serving.batching import Batcher
from roadmark.serving.options import ServeOptions
from roadmark.serving.refusal import RefusedError
from roadmark.serving.telemetry import Metrics, log

Picture = bytes | np.ndarray
"""The bytes of a JPEG or PNG file, or uint8 `[H, W, 3]` RGB."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What is in one picture.

    Attributes:
        height: Of the picture, upright, in pixels.
        width: Of the picture, upright, in pixels.
        detections: In its pixels.
    """

    height: int
    width: int
    detections: Detections


class ServedModel:
    """A loaded model and its queue.

    Args:
        name: Under which it is served.
        detector: What it is.
        options: The service's.
        decoders: Threads that decode pictures.
        metrics: Where batches are counted.

    Attributes:
        leases: Requests that hold it.
        seconds_per_picture: Of the last batch.
    """

    def __init__(
        self,
        name: str,
        detector: Detector,
        options: ServeOptions,
        decoders: Executor,
        metrics: Metrics,
    ) -> None:
        self.name = name
        self.detector = detector
        self.leases = 0
        self.seconds_per_picture = 0.0
        self._decoders = decoders
        self._max_pixels = options.limits.pixels
        self._metrics = metrics
        self._batcher = Batcher(detector, options.batch_size, options.delay_s, self._count)

    @property
    def weights(self) -> str:
        """Which weights it has, in short."""
        return self.detector.manifest.weights_sha256[:12]

    async def detect(self, batch: Sequence[Picture], score_threshold: float) -> list[Found]:
        """Finds objects in pictures.

        Args:
            batch: The pictures.
            score_threshold: Drops objects with this score or less.

        Raises:
            RefusedError: A picture cannot be read; names it.
        """
        futures: list[Future[Detections]] = [Future() for _ in batch]
        loop = asyncio.get_running_loop()
        prepare = functools.partial(self._prepare, score_threshold)
        try:
            sizes = await asyncio.gather(
                *(
                    loop.run_in_executor(self._decoders, prepare, index, picture, futures[index])
                    for index, picture in enumerate(batch)
                )
            )
            found = await asyncio.gather(*map(asyncio.wrap_future, futures))
        finally:
            # What nobody waits for any more need not be computed.
            for future in futures:
                future.cancel()
        return [Found(*size, one) for size, one in zip(sizes, found, strict=True)]

    def close(self) -> None:
        """Finishes what waits."""
        self._batcher.close()

    def _prepare(
        self, score_threshold: float, index: int, picture: Picture, found: "Future[Detections]"
    ) -> tuple[int, int]:
        if found.cancelled():
            return 0, 0
        try:
            image = self._pixels(picture)
            self._put(image, score_threshold, found)
        except RefusedError as error:
            raise RefusedError(error.status, f"image {index}: {error.problem}") from None
        return image.shape[:2]

    def _pixels(self, picture: Picture) -> np.ndarray:
        if isinstance(picture, bytes):
            return pictures.decode(picture, self._max_pixels)
        pictures.require_size(*picture.shape[:2], self._max_pixels)
        return picture

    def _count(self, count: int, seconds: float) -> None:
        self.seconds_per_picture = seconds / count
        self._metrics.on_batch(self.name, count, seconds)

    def _put(self, image: np.ndarray, threshold: float, found: "Future[Detections]") -> None:
        try:
            self._batcher.put(image, threshold, found)
        except ValueError as error:
            size = f"{image.shape[1]}x{image.shape[0]}"
            problem = f"{size} pixels cannot be made the network's input ({error})"
            raise RefusedError(400, problem) from None


Load = Callable[[str, Path], ServedModel]
Refresh = Callable[[Path], None]
"""Makes a folder what it is to be now, where it is a copy of one elsewhere."""


class Models:
    """All models of a service. Used from its event loop only, but for `load_all`.

    Args:
        folders: Exported folders by name; the first is the default.
        load: Loads one.
        capacity: Pictures of requests to one model that may be unanswered.
        metrics: Where it is told what happens.
        refresh: Is called before a folder is loaded again; None where folders are what they are.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        load: Load,
        capacity: int,
        metrics: Metrics,
        refresh: Refresh | None = None,
    ) -> None:
        self._folders = dict(folders)
        self._load = load
        self._refresh = refresh
        self._capacity = capacity
        self._metrics = metrics
        self._served: dict[str, ServedModel] = {}
        self._admitted = dict.fromkeys(folders, 0)
        self._reloading = asyncio.Lock()
        self._retiring: set[asyncio.Task] = set()

    @property
    def names(self) -> list[str]:
        """The default first."""
        return list(self._folders)

    def load_all(self) -> None:
        """Loads every model, before anything is served.

        Raises:
            UserError: A folder is not whole, or this machine lacks what was asked for.
        """
        for name, folder in self._folders.items():
            self._serve(self._load(name, folder))

    def get(self, name: str) -> ServedModel:
        """A model by its name.

        Raises:
            RefusedError: There is none.
        """
        if name not in self._served:
            known = ", ".join(self._served)
            raise RefusedError(404, f"model: found {name!r}, expected one of {known}")
        return self._served[name]

    @contextlib.contextmanager
    def lease(self, name: str, count: int = 1) -> Iterator["Lease"]:
        """Has a request hold a model, and places for its pictures, until it is answered.

        Args:
            name: The model's.
            count: Places to begin with.

        Raises:
            RefusedError: There is no such model, or so much is waiting already.
        """
        model = self.get(name)
        lease = Lease(model, functools.partial(self._admit, name))
        model.leases += 1
        try:
            lease.extend(count)
            yield lease
        finally:
            self._admit(name, -lease.places, 0)
            model.leases -= 1

    async def reload(self, name: str) -> ServedModel:
        """Loads a model's folder again, then serves that; requests in hand keep the old one.

        Raises:
            RefusedError: There is no such model, or its folder is not whole; the old one stays.
        """
        self.get(name)
        async with self._reloading:
            try:
                loaded = await asyncio.to_thread(self._load_again, name)
            except UserError as error:
                self._metrics.reloads.labels(name, "refused").inc()
                log("reload refused", model=name, error=str(error), serving=self.get(name).weights)
                raise RefusedError(409, f"{error}; the model loaded before stays") from None
            old = self._serve(loaded)
            self._metrics.reloads.labels(name, "loaded").inc()
            log("reloaded", model=name, weights=loaded.weights)
        self._in_background(self._retire(old))
        return loaded

    async def reload_all(self) -> None:
        """Reloads every model; what is refused is in the log."""
        for name in self.names:
            with contextlib.suppress(RefusedError):
                await self.reload(name)

    async def close(self) -> None:
        """Ends all models, when no request is left."""
        await asyncio.gather(*self._retiring)
        for model in self._served.values():
            await asyncio.to_thread(model.close)

    def _load_again(self, name: str) -> ServedModel:
        folder = self._folders[name]
        try:
            if self._refresh is not None:
                self._refresh(folder)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(folder, f"cannot be fetched again ({reason})", "repeat it") from None
        return self._load(name, folder)

    def _serve(self, model: ServedModel) -> ServedModel | None:
        old = self._served.get(model.name)
        self._served[model.name] = model
        if old is not None:
            self._metrics.model.remove(old.name, str(old.detector.engine), old.weights)
        self._metrics.model.labels(model.name, str(model.detector.engine), model.weights).set(1)
        return old

    async def _retire(self, model: ServedModel) -> None:
        while model.leases:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(model.close)

    def _in_background(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _admit(self, name: str, more: int, altogether: int) -> None:
        if altogether > self._capacity:
            problem = f"found {altogether} pictures, expected {self._capacity} at most"
            raise RefusedError(413, problem)
        waiting = self._admitted[name]
        if more > 0 and waiting + more > self._capacity:
            problem = f"{waiting} of at most {self._capacity} pictures wait already; try again"
            seconds = waiting * self.get(name).seconds_per_picture
            raise RefusedError(503, problem, retry_after_s=max(1, math.ceil(seconds)))
        self._admitted[name] = waiting + more
        self._metrics.admitted.labels(name).set(waiting + more)


class Lease:
    """A request's hold on a model.

    Attributes:
        model: The model.
        places: How many pictures the request has admitted.
    """

    def __init__(self, model: ServedModel, admit: Callable[[int, int], None]) -> None:
        self.model = model
        self.places = 0
        self._admit = admit

    def extend(self, count: int) -> None:
        """Has the request hold `count` places altogether.

        Raises:
            RefusedError: There are not so many.
        """
        if count > self.places:
            self._admit(count - self.places, count)
            self.places = count


def load(
    name: str, folder: Path, options: ServeOptions, decoders: Executor, metrics: Metrics
) -> ServedModel:
    """Loads an exported folder from a copy of it that nobody else can change meanwhile.

    What is verified is thereby what is run, and what is run cannot be altered on disk later.

    Args:
        name: Under which it is to be served.
        folder: As `roadmark.export` writes it.
        options: The service's.
        decoders: Threads that decode pictures.
        metrics: Where its batches are counted.

    Raises:
        UserError: The folder is not whole, or this machine lacks what was asked for.
    """
    with tempfile.TemporaryDirectory(prefix="roadmark-") as private:
        copy = Path(private, "export")
        try:
            detector = _load_copy(folder, copy, options)
        except UserError as error:
            where = error.where.replace(str(copy), str(folder))
            raise UserError(where, error.problem, error.cure) from None
    size = detector.manifest.input
    blank = np.zeros((size.height, size.width, 3), np.uint8)
    for count in {1, detector.engine.batch_size or options.batch_size}:
        detector.detect([blank] * count)
    return ServedModel(name, detector, options, decoders, metrics)


def _load_copy(folder: Path, copy: Path, options: ServeOptions) -> Detector:
    if not (folder / locations.MANIFEST).is_file():
        manifest.load(folder)  # Says what is missing.
    try:
        shutil.copytree(folder, copy)
    except OSError as error:
        # Somebody changes it at this moment, or the disk is full: of several the first is named.
        reason = error.strerror or str(error.args[0][0][2])
        raise UserError(folder, f"cannot be copied ({reason})", "repeat when it is whole") from None
    description = manifest.load(copy, options.trust)
    choices = (options.engine, options.device, options.precision, options.threads)
    return Detector.load(copy, *choices, description)
