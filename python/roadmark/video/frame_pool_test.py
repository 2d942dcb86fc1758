import av
import numpy as np

from roadmark.video import yuv_frame
from roadmark.video.frame_pool import FramePool


def address(frame):
    return frame.planes[0].buffer_ptr


def test_memory_is_used_again():
    pool = FramePool()
    first = pool.take(96, 64)
    second = pool.take(96, 64)
    assert address(first) != address(second)
    where = address(first)
    pool.give_back(first)
    assert address(pool.take(96, 64)) == where


def test_frame_of_another_size_is_a_new_one():
    pool = FramePool()
    first = pool.take(96, 64)
    where = address(first)
    pool.give_back(first)
    frame = pool.take(64, 96)
    assert (frame.width, frame.height, frame.format.name) == (64, 96, yuv_frame.FORMAT)
    assert address(pool.take(96, 64)) == where, "and each size keeps its own"


def test_frame_that_an_encoder_still_looks_at_is_not_written_to(tmp_path):
    # x264 holds frames back, to look ahead; writing to their memory would change the film.
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, yuv_frame.FORMAT
        pool = FramePool()
        for index in range(60):
            frame = pool.take(96, 64)
            for plane in yuv_frame.planes(frame):
                plane[...] = index * 4
            frame.pts = index
            container.mux(stream.encode(frame))
            pool.give_back(frame)
        container.mux(stream.encode(None))
    with av.open(str(tmp_path / "a.mp4")) as container:
        luma = [yuv_frame.planes(frame)[0].copy() for frame in container.decode(video=0)]
    for index, plane in enumerate(luma):
        np.testing.assert_array_equal(plane, index * 4)
