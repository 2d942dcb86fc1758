"""Batches, with a network that does what the test says when the test says so."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from roadmark import manifest
from roadmark.inference.detector import Detector
from roadmark.inference.engine import Engine
from roadmark.serving.batching import Batcher

FOLDER = Path("tests/models/quickstart/export")
DESCRIPTION = manifest.load(FOLDER)
ANCHORS = np.load(FOLDER / "anchors.npy")
IMAGE = np.zeros((20, 30, 3), np.uint8)
PATIENCE_S = 30


class Network(Engine):
    """Says of every box that it is a vehicle, once it is let go."""

    name, device, precision = "test", "cpu", "fp32"

    def __init__(self):
        self.go = threading.Event()
        self.go.set()
        self.batches = []
        self.error = None

    @classmethod
    def load(cls, folder, description, device="auto", precision="auto", threads=0):
        raise NotImplementedError

    def submit(self, inputs, stream=None):
        (batch,) = inputs.values()
        self.batches.append(batch.copy())
        return len(batch)

    def result(self, handle):
        assert self.go.wait(PATIENCE_S)
        if self.error:
            raise self.error
        logits = np.full((handle, len(ANCHORS), 4), -9, np.float32)
        logits[..., 1] = 2
        encodings = np.zeros((handle, len(ANCHORS), 4), np.float32)
        return {"box_encodings": encodings, "class_logits": logits}


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def make(network):
    made = []

    def make(batch_size=4, delay_s=0.0):
        detector = Detector(DESCRIPTION, network, ANCHORS)
        made.append(Batcher(detector, batch_size, delay_s, lambda pictures, seconds: None))
        return made[-1]

    yield make
    network.go.set()
    for one in made:
        one.close()


def put(batcher, count=1, threshold=0.5, image=IMAGE):
    futures = [Future() for _ in range(count)]
    for future in futures:
        batcher.put(image, threshold, future)
    return futures


def until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def sizes(network):
    return [len(batch) for batch in network.batches]


def test_a_lone_picture_waits_for_the_delay_and_no_longer(make, network):
    begin = time.monotonic()
    (found,) = put(make(delay_s=0.05))
    assert len(found.result(PATIENCE_S)) > 0
    assert time.monotonic() - begin >= 0.05
    assert sizes(network) == [1]


def test_a_full_batch_does_not_wait(make, network):
    for future in put(make(delay_s=1000), 4):
        future.result(PATIENCE_S)
    assert sizes(network) == [4]


def test_pictures_gather_while_the_network_is_busy(make, network):
    network.go.clear()
    batcher = make()
    futures = put(batcher)
    until(lambda: sizes(network) == [1])
    futures += put(batcher, 3)
    time.sleep(0.05)
    assert sizes(network) == [1], "a batch that is not full waits for the network"
    futures += put(batcher, 3)
    until(lambda: sizes(network) == [1, 4])
    futures += put(batcher, 4)
    time.sleep(0.05)
    assert sizes(network) == [1, 4], "no more than one waits in the engine"
    network.go.set()
    for future in futures:
        future.result(PATIENCE_S)
    assert sum(sizes(network)) == len(futures)


def test_each_picture_gets_its_own_result(make, network):
    network.go.clear()
    batcher = make(batch_size=3)
    images = [np.full((20 + 2 * index, 30, 3), 80 * index, np.uint8) for index in range(3)]
    futures = [put(batcher, threshold=0.1 + 0.4 * i, image=one)[0] for i, one in enumerate(images)]
    network.go.set()
    found = [future.result(PATIENCE_S) for future in futures]
    # sigmoid(2) is 0.88, which is above the first threshold and the second.
    assert [len(one) > 0 for one in found] == [True, True, False]
    batch = np.concatenate(network.batches)
    alone = np.concatenate([batcher._detector.preprocess([one]).arrays["image"] for one in images])
    assert np.array_equal(batch, alone)


def test_what_nobody_waits_for_is_left_out(make, network):
    network.go.clear()
    batcher = make()
    first = put(batcher)
    until(lambda: sizes(network) == [1])
    for future in put(batcher, 2):
        future.cancel()
    last = put(batcher)
    network.go.set()
    for future in first + last:
        future.result(PATIENCE_S)
    assert sizes(network) == [1, 1]


def test_a_failure_of_the_network_is_told_to_its_pictures_alone(make, network):
    network.error = RuntimeError("no memory")
    batcher = make()
    (failed,) = put(batcher)
    with pytest.raises(RuntimeError, match="no memory"):
        failed.result(PATIENCE_S)
    network.error = None
    assert len(put(batcher)[0].result(PATIENCE_S)) > 0


def test_pictures_come_from_many_threads(make, network):
    batcher = make()
    with ThreadPoolExecutor(4) as threads:
        many = list(threads.map(lambda _: put(batcher, 5, threshold=0.99), range(40)))
    for future in (one for futures in many for one in futures):
        assert len(future.result(PATIENCE_S)) == 0
    assert sum(sizes(network)) == 200
    assert max(sizes(network)) == 4


def test_closing_finishes_what_waits(make, network):
    batcher = make(delay_s=1000)
    (found,) = put(batcher)
    batcher.close()
    assert found.done()
    assert sizes(network) == [1]


def test_a_network_made_for_one_batch_size_gets_no_more(make, network):
    network.batch_size = 2
    for future in put(make(batch_size=8, delay_s=1000), 4):
        future.result(PATIENCE_S)
    assert sizes(network) == [2, 2]
