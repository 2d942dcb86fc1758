"""The protocol between the benchmark and a contender's process, with NumPy as the peer."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from roadmark.benchmark import inputs
from roadmark.benchmark.contender import Contender, contenders
from roadmark.errors import UserError

DECODING = "roadmark.benchmark.contenders.numpy_code:decoding"
OPTIONS = {"scale_factors": [10.0, 10.0, 5.0, 5.0]}


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    for name, array in inputs.coding().items():
        np.save(folder / name, array)
    return folder


@pytest.fixture
def contender():
    one = Contender(None, threads=1)
    yield one
    one.close()


def test_it_computes_what_it_was_given_and_takes_time(contender, arrays):
    contender.prepare(DECODING, arrays, OPTIONS)
    found = contender.result()["boxes"]
    np.testing.assert_allclose(found, inputs.coding()["boxes"], atol=1e-5)
    assert 0 < contender.seconds(1) < 5
    assert contender.seconds(20) > contender.seconds(1)
    assert contender.versions(["numpy"]) == {"numpy": np.__version__}


def test_what_went_wrong_there_is_told_here(contender, arrays):
    with pytest.raises(RuntimeError, match="KeyError: 'scale_factors'"):
        contender.prepare(DECODING, arrays, {})
    with pytest.raises(RuntimeError, match="ModuleNotFoundError"):
        contender.prepare("no.such.module:function", arrays, {})
    contender.prepare(DECODING, arrays, OPTIONS)
    assert contender.seconds(1) > 0, "an error does not end it"


def test_a_process_that_ends_is_told_with_its_last_words(tmp_path, arrays):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'no such library' >&2\nexit 3\n")
    python.chmod(0o755)
    broken = Contender(python, threads=1)
    with pytest.raises(RuntimeError, match="the process ended: no such library"):
        broken.prepare(DECODING, arrays, OPTIONS)
    broken.close()


def test_processes_are_shared_by_module_and_threads():
    with contenders(Path(sys.executable)) as running:
        first = running.get(DECODING, is_foreign=False, threads=1)
        encoding = DECODING.replace("decoding", "encoding")
        assert running.get(encoding, is_foreign=False, threads=1) is first
        assert running.get(DECODING, is_foreign=True, threads=1) is not first


def test_a_process_that_died_is_replaced():
    with contenders(Path(sys.executable)) as running:
        first = running.get(DECODING, is_foreign=False, threads=1)
        first.close()
        second = running.get(DECODING, is_foreign=False, threads=1)
        assert second is not first
        assert not second.has_ended


def test_without_the_peers_environment_nothing_is_measured(tmp_path):
    with (
        pytest.raises(UserError, match=r"peers is not here; run it by: \./bazelw run"),
        contenders(tmp_path / "python"),
    ):
        pass


def test_more_threads_than_processors_are_refused():
    with pytest.raises(UserError, match=r"--threads: found 10000, and .* processors; give fewer"):
        Contender(None, threads=10000)
    assert len(os.sched_getaffinity(0)) < 10000
