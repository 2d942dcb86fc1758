"""The graphs find what Roadmark's own pre- and post-processing make of the same network."""

import dataclasses

import numpy as np
import onnxruntime as ort
import pytest

from roadmark.export import detection_graphs
from roadmark.manifest import (
    CLASS_AGNOSTIC,
    FIXED_SHAPE,
    KEEP_ASPECT_RATIO,
    ONE_STAGE,
    PER_CLASS,
    SIGMOID,
    SOFTMAX,
    TWO_STAGE,
    BoxCoderSpec,
    InputSpec,
    Manifest,
    NmsSpec,
    OutputSpec,
    PostprocessSpec,
)
from roadmark.ops.postprocess import BOX_ENCODINGS, CLASS_LOGITS, postprocess
from roadmark.ops.preprocess import preprocess, resized_size

ANCHORS, CLASSES = 300, 3
NMS = NmsSpec(PER_CLASS, 0.05, 0.5, 10, 20, 0.0)
CODER = BoxCoderSpec("faster_rcnn", (10.0, 10.0, 5.0, 5.0))
SPEC = PostprocessSpec(ONE_STAGE, CODER, True, SIGMOID, 1.0, NMS, 0.5)
MEAN, SCALE, PAD = (123.7, 116.8, 103.9), (0.017, 0.018, 0.019), (-2.0, -1.5, 0.5)
FIXED = InputSpec(
    "image", 96, 128, FIXED_SHAPE, 0, 0, MEAN, SCALE, PAD, "RGB", "NHWC", "float32", ""
)
PADDED = dataclasses.replace(
    FIXED, width=96, resize=KEEP_ASPECT_RATIO, min_dimension=96, max_dimension=96
)


def _session(model):
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("size", [(75, 133), (200, 90), (96, 96)])
@pytest.mark.parametrize("spec", [FIXED, PADDED], ids=["stretched", "padded"])
def test_pictures_become_the_networks_input(spec, size):
    pictures = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    session = _session(detection_graphs.preprocessing(spec))
    made, window = session.run(None, {"pictures": pictures})
    np.testing.assert_allclose(made, preprocess(list(pictures), spec), atol=2e-3)
    expected = np.divide(resized_size(spec, *size), (spec.height, spec.width))
    np.testing.assert_allclose(window, [expected] * 2, rtol=1e-6)


def _description(spec, input_spec):
    columns = CLASSES + spec.background_column
    outputs = (
        OutputSpec(BOX_ENCODINGS, "", (-1, ANCHORS, 4), "float32"),
        OutputSpec(CLASS_LOGITS, "", (-1, ANCHORS, columns), "float32"),
    )
    return Manifest("street", input_spec, outputs, spec, {"1": "car"}, "", "", 0, ())


@pytest.mark.parametrize("input_spec", [FIXED, PADDED], ids=["stretched", "padded"])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="sigmoid, background"),
        pytest.param({"background_column": False, "logit_scale": 2.0}, id="scaled logits"),
        pytest.param({"score_converter": SOFTMAX}, id="softmax"),
        pytest.param({"nms": dataclasses.replace(NMS, mode=CLASS_AGNOSTIC)}, id="class-agnostic"),
        pytest.param({"nms": dataclasses.replace(NMS, score_threshold=0.9)}, id="few"),
    ],
)
def test_outputs_become_boxes(changes, input_spec):
    spec = dataclasses.replace(SPEC, **changes)
    random, sizes = np.random.default_rng(1), [(60, 96), (200, 100)]
    low = random.uniform(0, 0.8, (ANCHORS, 2))
    high = low + random.uniform(0.05, 0.3, (ANCHORS, 2))
    anchors = np.hstack([low, high]).astype(np.float32)
    columns = CLASSES + spec.background_column
    raw = {
        BOX_ENCODINGS: random.normal(0, 1, (2, ANCHORS, 4)).astype(np.float32),
        CLASS_LOGITS: random.normal(-2, 2, (2, ANCHORS, columns)).astype(np.float32),
    }
    session = _session(detection_graphs.postprocessing(_description(spec, input_spec), anchors))
    sides = (input_spec.height, input_spec.width)
    windows = np.float32([np.divide(resized_size(input_spec, *one), sides) for one in sizes])
    counts, boxes, scores, classes = session.run(None, raw | {"window": windows})
    expected = postprocess(raw, anchors, spec, input_spec, sizes)
    assert sum(map(len, expected)) >= 5
    for index, (size, wanted) in enumerate(zip(sizes, expected, strict=True)):
        count = len(wanted)
        assert counts[index].tolist() == [count]
        pixels = boxes[index, :count] * np.float32((*size, *size))
        np.testing.assert_allclose(pixels, wanted.boxes, atol=1e-2)
        np.testing.assert_allclose(scores[index, :count], wanted.scores, rtol=1e-5)
        np.testing.assert_array_equal(classes[index, :count], wanted.classes)
        assert not any(one[index, count:].any() for one in (boxes, scores, classes))


@pytest.mark.parametrize(
    ("changes", "has"),
    [
        ({}, True),
        ({"architecture": TWO_STAGE}, False),
        ({"nms": dataclasses.replace(NMS, soft_nms_sigma=0.5)}, False),
    ],
)
def test_which_models_have_them(changes, has):
    assert detection_graphs.has_graphs(dataclasses.replace(SPEC, **changes)) == has
