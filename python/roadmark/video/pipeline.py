"""Stages that work at the same time, each in a thread of its own; items keep their order."""

import dataclasses
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from roadmark.video.speed import Speed, StageClock

_END = object()


@dataclasses.dataclass(frozen=True)
class Stage:
    """One step of the work.

    Attributes:
        name: For the table.
        work: Takes an item and gives what the next stage takes. It should spend its time where
            other threads may run: in FFmpeg, in native operations, in an engine.
    """

    name: str
    work: Callable[[Any], Any]


class Pipeline:
    """Takes items from a source through stages, all of which work at the same time.

    The queues between them are bounded together: the source is asked for another item when fewer
    than `in_flight` are under way. So items pile up before the slowest stage, and memory does not
    depend on which one that is.

    Args:
        source_name: The name of the source, for the table.
        stages: What is done to an item, in order.
        in_flight: Items under way, at most.
    """

    def __init__(self, source_name: str, stages: Sequence[Stage], in_flight: int) -> None:
        self._stages = stages
        self._slots = threading.Semaphore(in_flight)
        self._queues = [queue.SimpleQueue() for _ in range(len(stages) + 1)]
        self._clocks = [StageClock(name) for name in (source_name, *(s.name for s in stages))]
        self._working = 0
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def run(self, source: Iterator[Any]) -> Speed:
        """Works until the source ends; may be called once.

        Args:
            source: Gives items, whose `len()` says how many frames they stand for. It is iterated
                in a thread of its own.

        Returns:
            What took how long.

        Raises:
            BaseException: Whatever was raised first: in a stage, in the source, or here, such as
                KeyboardInterrupt. All stages have ended by then; each has at most finished its
                item.
        """
        begin, cpu_begin = time.monotonic(), time.process_time()
        threads = [self._thread(self._feed, source)]
        for index, stage in enumerate(self._stages):
            threads.append(self._thread(self._work, index, stage))
        try:
            for thread in threads:
                self._working += 1
                thread.start()
            self._wait()
        except BaseException as error:
            self._stop(error)
            self._wait()
        if self._error is not None:
            raise self._error
        wall, cpu = time.monotonic() - begin, time.process_time() - cpu_begin
        cores = len(os.sched_getaffinity(0))
        return Speed.of(self._clocks, wall, cpu / (wall * cores))

    def _wait(self) -> None:
        # Not by Thread.join: when Ctrl-C interrupts that, Python 3.11 takes the thread for dead.
        while self._working:
            self._ended.get()
            self._working -= 1

    def _thread(self, function: Callable[..., None], *arguments: Any) -> threading.Thread:
        # Daemons, so that a second Ctrl-C ends a program whose engine does not answer.
        return threading.Thread(target=function, args=arguments, daemon=True)

    def _feed(self, source: Iterator[Any]) -> None:
        clock, outbox = self._clocks[0], self._queues[0]
        try:
            while True:
                self._slots.acquire()
                if self._stopping.is_set():
                    break
                with clock.running() as lap:
                    item = next(source, _END)
                    lap.frames = 0 if item is _END else len(item)
                if item is _END:
                    break
                outbox.put(item)
        except BaseException as error:
            self._stop(error)
        finally:
            outbox.put(_END)
            self._ended.put(None)

    def _work(self, index: int, stage: Stage) -> None:
        inbox, outbox = self._queues[index], self._queues[index + 1]
        clock, is_last = self._clocks[index + 1], index + 1 == len(self._stages)
        try:
            while True:
                waiting = inbox.qsize()
                item = inbox.get()
                if item is _END or self._stopping.is_set():
                    break
                with clock.running(waiting) as lap:
                    lap.frames = len(item)
                    item = stage.work(item)
                if is_last:
                    self._slots.release()
                else:
                    outbox.put(item)
        except BaseException as error:
            self._stop(error)
        finally:
            outbox.put(_END)
            self._ended.put(None)

    def _stop(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error
        self._stopping.set()
        self._slots.release()
        for waiting in self._queues:
            waiting.put(_END)
