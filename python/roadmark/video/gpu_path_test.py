"""The whole path on a GPU, beside the processor's on the same clip; skipped where there is none.

The network is a constant one, so that nothing but the path can differ: its raw outputs lie on the
GPU, and it keeps what it was given.
"""

import importlib.util
import json
from fractions import Fraction

import numpy as np
import pytest

from roadmark import manifest
from roadmark.errors import UserError
from roadmark.inference import nvidia_driver
from roadmark.inference.cuda_runtime import Cuda
from roadmark.inference.detector import Detector
from roadmark.manifest import BoxCoderSpec, InputSpec, Manifest, NmsSpec, PostprocessSpec
from roadmark.ops import annotate
from roadmark.ops.postprocess import BOX_ENCODINGS, CLASS_LOGITS
from roadmark.testing import clips
from roadmark.video import ByModel, VideoOptions, annotate_video, gpu_choice, tracking
from roadmark.video.gpu_choice import DECODED
from roadmark.video.gpu_frame import SurfacePool
from roadmark.video.gpu_reader import GpuReader
from roadmark.video.reader import WHOLE, Frame, VideoReader


def missing():
    """Why these tests cannot run here; empty where they can."""
    for package in ("PyNvVideoCodec", "cuda"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed ({gpu_choice.INSTALL})"
    if importlib.util.find_spec("roadmark.ops._cuda") is None:
        return "the CUDA operations are not built"
    return nvidia_driver.what_is_missing()


REASON = missing()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"GPU video: {REASON}")

SIZE = (320, 192)
ANCHORS = np.array([[0.1, 0.1, 0.5, 0.4], [0.3, 0.5, 0.9, 0.95], [0, 0, 0.2, 0.2]], np.float32)
LOGITS = np.array([[2.0, -3.0], [-3.0, 1.0], [-9.0, -9.0]], np.float32)
DESCRIPTION = Manifest(
    model="constant",
    input=InputSpec(
        name="image",
        height=64,
        width=96,
        resize=manifest.FIXED_SHAPE,
        min_dimension=0,
        max_dimension=0,
        mean=(127.5,) * 3,
        scale=(1 / 127.5,) * 3,
        pad_value=(0.0,) * 3,
        channel_order="RGB",
        layout="NHWC",
        dtype="float32",
        true_shapes_name="",
    ),
    outputs=(),
    postprocess=PostprocessSpec(
        architecture=manifest.ONE_STAGE,
        box_coder=BoxCoderSpec("faster_rcnn", (10.0, 10.0, 5.0, 5.0)),
        background_column=False,
        score_converter=manifest.SIGMOID,
        logit_scale=1.0,
        nms=NmsSpec(manifest.PER_CLASS, 1e-8, 0.6, 100, 100, 0.0),
        mask_threshold=0.5,
    ),
    label_map={"1": "car", "2": "cyclist"},
    config_sha256="0" * 64,
    weights_sha256="1" * 64,
    step=7,
    engines=(),
)


class Constant:
    """An engine with the same raw outputs for every picture.

    Attributes:
        seen: Its inputs, on a processor.
        networks: On a GPU; their inputs are those of the last time.
    """

    name = "tensorrt"

    def __init__(self, device, batch_size):
        self.device, self.batch_size, self.seen, self.networks = device, batch_size, [], []

    def submit(self, inputs):
        self.seen.append(np.array(inputs["image"]))
        return len(inputs["image"])

    def result(self, handle):
        return raw_outputs(handle)

    def network(self, batch):
        self.networks.append(ConstantNetwork(batch))
        return self.networks[-1]


class ConstantNetwork:
    """Outputs that are there from the start."""

    def __init__(self, batch):
        self._cuda = Cuda()
        spec = DESCRIPTION.input
        shape = (batch, spec.height, spec.width, 3)
        self.inputs = {spec.name: self._cuda.array(shape, np.float32)}
        self.outputs = {name: self._sent(values) for name, values in raw_outputs(batch).items()}

    def enqueue(self, stream):
        """Nothing is left to do."""

    def rows(self):
        return on_host(self._cuda, self.inputs["image"])

    def _sent(self, values):
        target, stream = self._cuda.array(values.shape, values.dtype), self._cuda.stream()
        self._cuda.copy_in(target, values, stream)
        self._cuda.synchronise(stream)
        return target


def raw_outputs(batch):
    return {
        CLASS_LOGITS: np.tile(LOGITS, (batch, 1, 1)),
        BOX_ENCODINGS: np.zeros((batch, len(ANCHORS), 4), np.float32),
    }


def on_host(cuda, array):
    values, stream = np.empty(array.shape, array.dtype), cuda.stream()
    cuda.copy_out(values, array, stream)
    cuda.synchronise(stream)
    return values


def annotated(clip, out, device, batch_size=None, **options):
    engine, heard = Constant(device, batch_size), []
    look = ByModel(Detector(DESCRIPTION, engine, ANCHORS), 0.3)
    listing, names = out.with_suffix(".json"), DESCRIPTION.names()
    options = VideoOptions(batch_size=4, **options)
    annotate_video(clip, out, look, names, listing, options, heard.append)
    with VideoReader(out) as reader:
        frames = [item for item in reader if isinstance(item, Frame)]
        assert reader.stopped is None
        pictures = np.array([frame.yuv.to_ndarray(format="rgb24") for frame in frames]).astype(int)
    found = json.loads(listing.read_text())
    return engine, heard, [frame.time_s for frame in frames], pictures, found


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_frames_are_decoded_to_the_same_samples_and_drawn_on_alike(tmp_path, codec):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    clip = clips.make(tmp_path / "a.mp4", size=SIZE, codec=codec, options=options)
    with VideoReader(clip) as reader, VideoReader(clip) as like:
        assert like.coded.codec in DECODED
        expected = [item for item in reader if isinstance(item, Frame)]
        with GpuReader(like, clip, SurfacePool(*SIZE), WHOLE) as on_gpu:
            frames = [item for item in on_gpu if isinstance(item, Frame)]
            assert (on_gpu.stopped, on_gpu.skipped) == (None, 0)
    assert [frame.pts for frame in frames] == [frame.pts for frame in expected]
    boxes = np.array([[20, 30, 90, 130], [60, 100, 191, 319]], np.float32)
    trails = [np.array([[30, 40], [90, 80]], np.float32), np.zeros((0, 2), np.float32)]
    for frame, other in zip(frames, expected, strict=True):
        require_same(frame, other)
        for one in (frame, other):
            annotate.draw_boxes(one.canvas, boxes, np.array([1, 2]), ["car 90%", ""], None, trails)
        require_same(frame, other)


def require_same(frame, other):
    nv12 = other.yuv.reformat(format="nv12").to_ndarray()
    np.testing.assert_array_equal(on_host(frame.yuv.pool.cuda, frame.yuv.memory), nv12)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_a_video_on_the_gpu_is_what_it_is_on_the_processor(tmp_path, batch_size, codec):
    clip = clips.make(tmp_path / "a.mp4", size=SIZE, sound="aac", aspect=Fraction(4, 3))
    runs = [
        annotated(
            clip,
            tmp_path / f"{device}.mp4",
            device,
            batch_size,
            codec=codec,
            tracker=tracking.Tracker(0.3),
        )
        for device in ("cpu", "gpu")
    ]
    (engine, _, times, pictures, found), (on_gpu, heard, *others) = runs
    if any("NVENC" in line for line in heard):
        pytest.skip(f"GPU video: {heard[0]}")
    assert heard == []
    assert others[0] == times
    # The bits that the network is given: those of the last frame are still there.
    last = next(row for row in reversed(np.concatenate(engine.seen)) if row.any())
    rows = np.concatenate([network.rows() for network in on_gpu.networks])
    assert any(np.array_equal(row, last) for row in rows)
    # Two encoders differ; a box that is missing or elsewhere would show.
    assert np.abs(others[1] - pictures).mean() < 4
    for key in ("categories", "images", "annotations"):
        assert others[2][key] == found[key]


def test_a_damaged_packet_is_skipped_and_counted(tmp_path):
    clip = clips.damage(clips.make(tmp_path / "a.mp4", size=SIZE), 11)
    with VideoReader(clip) as like, GpuReader(like, clip, SurfacePool(*SIZE), WHOLE) as on_gpu:
        frames = [item for item in on_gpu if isinstance(item, Frame)]
        assert on_gpu.stopped is None
    assert on_gpu.skipped >= 1
    assert 20 <= len(frames) <= 24


def test_a_video_that_ends_too_early_is_kept_as_a_part(tmp_path):
    clip = clips.truncate(clips.make(tmp_path / "a.mkv", frames=30, size=SIZE), 20)
    with pytest.raises(UserError, match="the stream ends"):
        annotated(clip, tmp_path / "out.mp4", "gpu")
    assert (tmp_path / "out.partial.mp4").exists()


def test_what_cannot_be_done_there_is_done_here_and_said(tmp_path):
    clip = clips.make(tmp_path / "a.mp4", size=SIZE, rotation=90)
    _, heard, *_ = annotated(clip, tmp_path / "out.mp4", "gpu", batch_size=4)
    assert any("upright" in line for line in heard)
