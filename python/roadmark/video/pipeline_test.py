import os
import signal
import threading
import time

import pytest

from roadmark.video.pipeline import Pipeline, Stage


def items(count):
    return ([number] for number in range(count))


def same(item):
    return item


def run(works, source, in_flight=4):
    stages = [Stage(f"stage {number}", work) for number, work in enumerate(works)]
    return Pipeline("source", stages, in_flight).run(source)


def test_order_is_kept_and_every_item_passes_every_stage():
    seen = []
    works = [
        lambda item: [item[0] * 10],
        lambda item: [item[0] + 1],
        lambda item: seen.extend(item),
    ]
    speed = run(works, items(50))
    assert seen == [number * 10 + 1 for number in range(50)]
    assert speed.frames == 50
    assert [stage.name for stage in speed.stages] == ["source", "stage 0", "stage 1", "stage 2"]


def test_stages_work_at_the_same_time():
    # Were they to take turns, the two would wait for each other for ever.
    meeting = threading.Barrier(2)

    def meet(*numbers):
        def work(item):
            if item[0] in numbers:
                meeting.wait(30)
            return item

        return work

    run([meet(1, 2), meet(0, 1)], items(4))
    assert not meeting.broken


@pytest.mark.parametrize("slow", range(3))
def test_no_more_items_than_allowed_are_under_way_whichever_stage_is_slow(slow):
    under_way, most, lock = 0, 0, threading.Lock()

    def source():
        nonlocal under_way, most
        for number in range(30):
            with lock:
                under_way += 1
                most = max(most, under_way)
            yield [number]

    def work(index):
        def pause(item):
            nonlocal under_way
            if index == slow:
                time.sleep(0.002)
            if index == 2:
                with lock:
                    under_way -= 1
            return item

        return pause

    speed = run([work(index) for index in range(3)], source(), in_flight=5)
    # The last stage counts an item as done just before the pipeline does.
    assert most <= 6
    assert speed.bottleneck.startswith(f"stage {slow}, at work")
    queues = [stage.queue for stage in speed.stages[1:]]
    assert max(range(3), key=queues.__getitem__) == slow


@pytest.mark.parametrize("failing", ["source", 0, 1, 2])
def test_first_error_stops_all_and_surfaces_once(failing):
    done = []

    def work(index):
        def act(item):
            if failing == index and item[0] == 7:
                raise ZeroDivisionError(f"in stage {index}")
            if index == 2:
                done.append(item[0])
            return item

        return act

    def source():
        for number in range(1000):
            if failing == "source" and number == 7:
                raise ZeroDivisionError("in the source")
            yield [number]

    with pytest.raises(ZeroDivisionError):
        run([work(index) for index in range(3)], source())
    assert done == list(range(len(done)))
    assert len(done) <= 7


def test_errors_of_several_stages_are_one():
    def fail(item):
        raise ValueError("this one")

    def fail_later(item):
        time.sleep(0.05)
        raise KeyError("not this one")

    run([same, same], items(0))
    with pytest.raises(ValueError, match="this one"):
        run([same, fail, fail_later], items(10))


@pytest.mark.parametrize("in_flight", [1, 8])
def test_interruption_of_the_main_thread_ends_every_stage(in_flight):
    inside = 0

    def work(item):
        nonlocal inside
        inside += 1
        if item[0] == 3:
            # To the process, as from a terminal; Python runs the handler in the main thread.
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        inside -= 1
        return item

    with pytest.raises(KeyboardInterrupt):
        run([same, work], items(10**9), in_flight)
    assert inside == 0


def test_item_of_no_frames_passes_and_is_not_timed():
    seen = []
    speed = run([same, lambda item: seen.append(item)], iter([[1, 2], [], [3]]))
    assert seen == [[1, 2], [], [3]]
    assert speed.frames == 3
