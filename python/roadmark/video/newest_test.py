import queue
import socket
import threading
import time
from fractions import Fraction

import av
import pytest

from roadmark.detections import Detections
from roadmark.testing import clips
from roadmark.video import ByFunction, Span, VideoOptions, annotate_video
from roadmark.video.colour import Colour
from roadmark.video.frame_pool import FramePool
from roadmark.video.newest import Newest, is_live
from roadmark.video.reader import Frame


def frame(index):
    yuv = FramePool().take(32, 16)
    return Frame(index, index, index / 30, yuv, Colour.of(yuv))


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("source", "live"),
    [
        ("rtsp://camera/street", True),
        ("RTSP://camera/street", True),
        ("udp://127.0.0.1:5000", True),
        ("/dev/null", True),
        ("http://host/a.mp4", False),
        ("a.mp4", False),
        ("/", False),
    ],
)
def test_what_does_not_wait_for_its_reader(source, live):
    assert is_live(source) == live


def test_newest_frame_wins_and_sound_stays():
    pool, given = FramePool(), queue.Queue()
    with Newest(iter(given.get, None), pool) as newest:
        items = iter(newest)
        for index in range(6):
            given.put(frame(index))
            given.put(av.Packet(index))
        wait_for(lambda: newest.dropped == 5)
        first = [next(items) for _ in range(7)]
        given.put(frame(6))
        given.put(None)
        rest = list(items)
    assert [one.index for one in first if isinstance(one, Frame)] == [5]
    assert [one.size for one in first if isinstance(one, av.Packet)] == list(range(6))
    assert [one.index for one in rest] == [6]
    assert len(pool._free[32, 16]) == 5, "the memory of dropped frames is used again"


def test_error_of_the_source_surfaces():
    def source():
        yield av.Packet(1)
        raise ZeroDivisionError

    with Newest(source(), FramePool()) as newest, pytest.raises(ZeroDivisionError):
        list(newest)


def test_it_stops_reading_with_its_user():
    given = queue.Queue()
    with Newest(iter(given.get, None), FramePool()) as newest:
        given.put(av.Packet(1))
        next(iter(newest))
        threading.Timer(0.1, given.put, [av.Packet(1)]).start()
    assert not newest._thread.is_alive()


def send(clip, where, stop):
    """A clip by UDP in its own time and again and again, as a camera would."""
    begin, played = time.monotonic(), Fraction(0)
    with av.open(where, "w", format="mpegts") as target:
        with av.open(str(clip)) as source:
            stream = target.add_stream_from_template(source.streams.video[0])
        while not stop.is_set():
            with av.open(str(clip)) as source:
                video = source.streams.video[0]
                for packet in source.demux(video):
                    if packet.dts is None or stop.is_set():
                        continue
                    shift = round(played / video.time_base) - video.start_time
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    due = begin + float(packet.dts * video.time_base)
                    time.sleep(max(0.0, due - time.monotonic()))
                    packet.stream = stream
                    target.mux(packet)
                played += video.duration * video.time_base


def test_slow_model_on_a_live_source_sees_new_frames_and_counts_the_others(tmp_path):
    clip = clips.make(
        tmp_path / "a.ts", frames=60, rate=Fraction(30), options={"g": "5", "bf": "0"}
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where, stop, seen = f"udp://127.0.0.1:{port}", threading.Event(), []
    sender = threading.Thread(target=send, args=(clip, f"{where}?pkt_size=1316", stop))
    sender.start()

    def slowly(images):
        seen.append(len(images))
        time.sleep(0.2)
        return [Detections.empty()] * len(images)

    try:
        result = annotate_video(
            where,
            tmp_path / "out.mp4",
            ByFunction(slowly),
            {},
            options=VideoOptions(batch_size=4, span=Span(end_s=3.0)),
        )
    finally:
        stop.set()
        sender.join()
    # Of 90 frames it can see 15, and a few more are under way.
    assert 8 <= result.frames <= 30
    assert result.dropped > 40
    assert set(seen) == {1}
    with av.open(str(tmp_path / "out.mp4")) as container:
        times = [float(one.time) for one in container.decode(video=0)]
    assert len(times) == result.frames
    assert times[-1] > 2, "the newest frames, at their own times"
