import io
import json

import pytest
from rich.console import Console

from roadmark.video import speed as speed_module
from roadmark.video.speed import Speed, StageClock


def clock(name, monkeypatch, laps):
    """A clock that has seen laps of (seconds, frames, waiting)."""
    now = 0.0
    monkeypatch.setattr(speed_module.time, "perf_counter", lambda: now)
    made = StageClock(name)
    for seconds, frames, waiting in laps:
        with made.running(waiting) as lap:
            lap.frames = frames
            now += seconds
    return made


@pytest.fixture
def speed(monkeypatch):
    clocks = [
        clock("decode", monkeypatch, [(0.01, 1, 0)] * 100),
        clock("infer", monkeypatch, [(0.02, 1, 3)] * 90 + [(0.1, 1, 1)] * 10),
    ]
    return Speed.of(clocks, wall_s=4.0, processors=0.5)


def test_percentiles_share_and_queue(speed):
    decode, infer = speed.stages
    assert (decode.p50_ms, decode.p99_ms, decode.share) == pytest.approx((10, 10, 0.25))
    assert (infer.p50_ms, infer.p99_ms, infer.share) == pytest.approx((20, 100, 0.7))
    assert (decode.queue, infer.queue) == pytest.approx((0, 2.8))
    assert (speed.frames, speed.fps) == (100, 25)


def test_batch_counts_as_so_many_frames_and_an_empty_item_as_none(monkeypatch):
    made = clock("infer", monkeypatch, [(0.08, 4, 0), (0.01, 0, 0)])
    times = made.times(1.0)
    assert times.p50_ms == pytest.approx(20)
    assert times.share == pytest.approx(0.09)
    assert made.frames == 4


def test_long_runs_keep_a_fair_sample(monkeypatch):
    monkeypatch.setattr(speed_module, "_SAMPLES", 500)
    made = clock("encode", monkeypatch, [(0.01, 1, 0)] * 4000 + [(0.03, 1, 0)] * 4000)
    assert len(made._samples) == 500
    assert sum(sample > 0.02 for sample in made._samples) == pytest.approx(250, abs=60)


@pytest.mark.parametrize(
    ("processors", "says"),
    [
        (0.5, "infer, at work 70% of the time"),
        (0.97, "the processors, 97% busy; of the stages infer, at work 70% of the time"),
    ],
)
def test_bottleneck(speed, processors, says):
    assert Speed(1, 1.0, processors, speed.stages).bottleneck == says


def test_table_and_json_say_the_same(speed):
    console = Console(width=100, file=io.StringIO())
    console.print(speed.to_table())
    rows = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["infer", "20.00", "28.00", "100.00", "70%", "2.8"] in rows
    written = json.loads(json.dumps(speed.to_dict()))
    assert written["frames_per_second"] == 25
    assert written["stages"][1]["p99_ms"] == 100
    assert written["bottleneck"] == speed.bottleneck
