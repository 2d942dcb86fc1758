"""Signals are noted while the loop runs, and do what they always do before and after."""

import os
import signal

import pytest

from roadmark.training.interruption import Interruption


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, id="SIGTERM"),
    ],
)
def test_the_first_signal_is_noted_and_the_second_acts(number, code):
    acted = []
    before = signal.signal(number, lambda *_: acted.append(number))
    try:
        with Interruption() as interruption:
            assert interruption.exit_code is None
            os.kill(os.getpid(), number)
            assert (interruption.exit_code, acted) == (code, [])
            os.kill(os.getpid(), number)
            assert acted == [number]
    finally:
        signal.signal(number, before)


def test_handlers_are_put_back():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with Interruption():
        assert signal.getsignal(signal.SIGINT) != before[signal.SIGINT]
    assert before == {number: signal.getsignal(number) for number in before}


def test_a_block_is_cut_short():
    done = []
    with Interruption() as interruption:
        with interruption.cutting_short():
            done.append("begun")
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("ended")
        done.append("after")
    assert (done, interruption.exit_code) == (["begun", "after"], 143)
