import types

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from roadmark.detections import Detections
from roadmark.inference.detector import Detector
from roadmark.manifest import FIXED_SHAPE, InputSpec
from roadmark.ops.preprocess import YuvPicture, preprocess
from roadmark.testing import clips, street_data
from roadmark.video.colour import Colour
from roadmark.video.frame_detector import ByModel
from roadmark.video.reader import Frame, VideoReader

_SPEC = InputSpec(
    name="image",
    height=48,
    width=64,
    resize=FIXED_SHAPE,
    min_dimension=0,
    max_dimension=0,
    mean=(0.0, 0.0, 0.0),
    scale=(1.0, 1.0, 1.0),
    pad_value=(0.0, 0.0, 0.0),
    channel_order="RGB",
    layout="NHWC",
    dtype="float32",
    true_shapes_name="",
)


class Echo:
    """Stands for an engine: its output is its input, and it remembers where that was."""

    batch_size = None

    def __init__(self):
        self.addresses, self.asked_for = [], []

    def submit(self, inputs):
        self.addresses.append(inputs["image"].ctypes.data)
        return {"image": inputs["image"].copy()}

    def result(self, handle):
        self.asked_for.append(handle)
        return handle


class PictureMeans(Detector):
    """Finds one object per picture, whose class is the brightness of the network's input."""

    def postprocess(self, outputs, batch, score_threshold=0.0):
        assert len(outputs["image"]) == len(batch.sizes)
        return [
            Detections(
                np.array([[0, 0, *size]], np.float32),
                np.ones(1, np.float32),
                np.array([max(1, round(float(image.mean())))], np.int32),
            )
            for image, size in zip(outputs["image"], batch.sizes, strict=True)
        ]


def flat(luma, matrix=1, full=False, size=(96, 64)):
    picture = av.VideoFrame(*size, "yuv420p")
    for plane, value in zip(picture.planes, (luma, 110, 150), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    picture.colorspace = matrix
    picture.color_range = ColorRange.JPEG if full else ColorRange.MPEG
    return Frame(0, 0, 0.0, picture, Colour.of(picture))


def model(classes=()):
    manifest = types.SimpleNamespace(input=_SPEC, names=lambda: {})
    engine = Echo()
    return engine, ByModel(PictureMeans(manifest, engine, None), 0.0, classes)


def look(detector, frames):
    inputs = detector.preprocess(frames)
    return detector.postprocess(inputs, detector.result(detector.submit(inputs)))


@pytest.mark.parametrize("full", [False, True], ids=["limited range", "full range"])
@pytest.mark.parametrize("matrix", [1, 2, 4, 6, 9])
def test_model_sees_the_colours_that_the_frame_means(matrix, full):
    frame = flat(120, matrix, full)
    from_rgb = preprocess([frame.image], _SPEC)
    np.testing.assert_allclose(preprocess([frame.picture], _SPEC), from_rgb, atol=1.01)


def test_only_matrices_that_pre_processing_lacks_are_turned_into_rgb():
    kinds = {matrix: type(flat(120, matrix).picture) for matrix in (1, 2, 4, 5, 6, 7, 9)}
    in_yuv = {matrix for matrix, kind in kinds.items() if kind is YuvPicture}
    assert in_yuv == {1, 2, 5, 6}


def test_planes_of_a_real_clip_look_as_its_rgb():
    clip = street_data.folder("videos") / "carnd_test_video.mp4"
    with VideoReader(clip) as reader:
        frame = reader.first_frame
        by_planes = preprocess([frame.picture], _SPEC)
        by_rgb = preprocess([frame.image], _SPEC)
    # They differ in how chroma is brought to full size, at coloured edges.
    assert np.abs(by_planes - by_rgb).mean() < 1
    assert abs(float((by_planes - by_rgb).mean())) < 0.2


def test_memory_of_batches_is_used_again_also_by_smaller_ones():
    engine, detector = model()
    frames = [flat(luma) for luma in (40, 120, 200)]
    for count in (3, 2, 1, 3):
        assert len(look(detector, frames[:count])) == count
    assert len(set(engine.addresses)) == 1


def test_each_frame_has_its_own_result_and_other_classes_are_left_out():
    frames = [flat(40), flat(200)]
    _, everything = model()
    dark, bright = (int(found.classes[0]) for found in look(everything, frames))
    assert dark < bright
    _, only = model([bright])
    assert [len(found) for found in look(only, frames)] == [0, 1]


def test_pictures_are_of_the_reader_s_frames(tmp_path):
    with VideoReader(clips.make(tmp_path / "a.mp4", rotation=90)) as reader:
        frame = reader.first_frame
        assert frame.size == (96, 64)
        assert frame.picture.shape == (96, 64, 3)


def test_what_was_submitted_is_waited_for_once_also_when_nobody_wants_it():
    engine, detector = model()
    handles = [detector.submit(detector.preprocess([flat(luma)])) for luma in (40, 120, 200)]
    detector.result(handles[0])
    detector.drain()
    assert len(engine.asked_for) == 3
    detector.drain()
    assert len(engine.asked_for) == 3
