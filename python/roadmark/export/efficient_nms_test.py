"""The plugin's node as TensorRT is given it, with the plugin itself written out in NumPy."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from roadmark.errors import UserError
from roadmark.export import efficient_nms, half_precision
from roadmark.inference import engine_nms
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
    NmsSpec,
    PostprocessSpec,
)
from roadmark.ops.nms import iou
from roadmark.ops.postprocess import BOX_ENCODINGS, CLASS_LOGITS, postprocess

ANCHORS, CLASSES, BATCH = 300, 3, 2
NMS = NmsSpec(PER_CLASS, 0.05, 0.5, 20, 20, 0.0)
CODER = BoxCoderSpec("faster_rcnn", (10.0, 10.0, 5.0, 5.0))
SPEC = PostprocessSpec(ONE_STAGE, CODER, True, SIGMOID, 1.0, NMS, 0.5)
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
FIXED = InputSpec("image", 96, 96, FIXED_SHAPE, 0, 0, ZERO, ONE, ZERO, "RGB", "NHWC", "float32", "")
PADDED = dataclasses.replace(FIXED, resize=KEEP_ASPECT_RATIO, min_dimension=96, max_dimension=96)
SIZES = ((48, 96), (200, 100))


class EfficientNMS_TRT(OpRun):  # noqa: N801 - the operator's name.
    """What the plugin's README says, without haste."""

    op_domain = efficient_nms.DOMAIN

    def _run(
        self,
        boxes,
        scores,
        plugin_version,
        score_threshold,
        iou_threshold,
        max_output_boxes,
        background_class,
        score_activation,
        class_agnostic,
        box_coding,
    ):
        assert (plugin_version, background_class, box_coding) == ("1", -1, 0)
        if score_activation:
            scores = 1 / (1 + np.exp(-scores))
        found = [
            self._one(*one, score_threshold, iou_threshold, max_output_boxes, class_agnostic)
            for one in zip(boxes, scores, strict=True)
        ]
        return tuple(np.stack(column) for column in zip(*found, strict=True))

    def _one(self, boxes, scores, score_threshold, iou_threshold, most, agnostic):
        order = sorted(np.argwhere(scores > score_threshold).tolist(), key=lambda at: -scores[*at])
        kept = []
        for row, column in order:
            rivals = [one for one, other in kept if agnostic or other == column]
            overlaps = iou(boxes[[row]], boxes[rivals]) if rivals else np.zeros(1)
            if overlaps.max() <= iou_threshold and len(kept) < most:
                kept.append((row, column))
        rows, columns = np.array(kept).T
        spare = most - len(kept)
        return (
            np.array([len(kept)], np.int32),
            np.pad(boxes[rows], ((0, spare), (0, 0))).astype(np.float32),
            np.pad(scores[rows, columns], (0, spare)).astype(np.float32),
            np.pad(columns, (0, spare)).astype(np.int32),
        )


def _network(spec, batch="batch"):
    """One whose outputs are its inputs."""
    columns = CLASSES + spec.background_column
    sizes = {BOX_ENCODINGS: (batch, ANCHORS, 4), CLASS_LOGITS: (batch, ANCHORS, columns)}
    inputs, outputs = (
        [
            helper.make_tensor_value_info(prefix + name, TensorProto.FLOAT, shape)
            for name, shape in sizes.items()
        ]
        for prefix in ("in_", "")
    )
    nodes = [helper.make_node("Identity", [f"in_{name}"], [name]) for name in sizes]
    graph = helper.make_graph(nodes, "network", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _anchors():
    """Within every picture, whose shorter side is half the network's input when it is padded."""
    random = np.random.default_rng(0)
    low = random.uniform(0, 0.35, (ANCHORS, 2))
    return np.hstack([low, low + random.uniform(0.03, 0.15, (ANCHORS, 2))]).astype(np.float32)


def _outputs(spec):
    random = np.random.default_rng(1)
    columns = CLASSES + spec.background_column
    return {
        BOX_ENCODINGS: random.normal(0, 1, (BATCH, ANCHORS, 4)).astype(np.float32),
        CLASS_LOGITS: random.normal(-2, 2, (BATCH, ANCHORS, columns)).astype(np.float32),
    }


@pytest.mark.parametrize("input_spec", [FIXED, PADDED], ids=["stretched", "padded"])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="sigmoid, background"),
        pytest.param({"background_column": False, "logit_scale": 2.0}, id="scaled logits"),
        pytest.param({"score_converter": SOFTMAX}, id="softmax"),
        pytest.param({"nms": dataclasses.replace(NMS, mode=CLASS_AGNOSTIC)}, id="class-agnostic"),
    ],
)
def test_the_plugin_finds_what_our_own_post_processing_finds(changes, input_spec):
    spec = dataclasses.replace(SPEC, **changes)
    model = efficient_nms.append(_network(spec), _anchors(), spec)
    onnx.checker.check_model(model, full_check=True)
    raw = _outputs(spec)
    inputs = {f"in_{name}": value for name, value in raw.items()}
    made = ReferenceEvaluator(model, new_ops=[EfficientNMS_TRT]).run(None, inputs)
    outputs = dict(zip([one.name for one in model.graph.output], made, strict=True))
    found = engine_nms.detections(outputs, input_spec, SIZES, 0.2)
    expected = postprocess(raw, _anchors(), spec, input_spec, SIZES, 0.2)
    assert sum(map(len, expected)) >= 10
    for ours, theirs in zip(expected, found, strict=True):
        # The plugin keeps so many boxes before, and ours after those without area are dropped.
        count = min(len(ours), len(theirs))
        assert len(ours) - count <= 2
        np.testing.assert_allclose(theirs.scores[:count], ours.scores[:count], rtol=1e-5)
        np.testing.assert_array_equal(theirs.classes[:count], ours.classes[:count])
        np.testing.assert_allclose(theirs.boxes[:count], ours.boxes[:count], atol=1e-2)


def test_the_node_is_what_the_parser_looks_for():
    model = efficient_nms.append(_network(SPEC, batch=4), _anchors(), SPEC)
    node = model.graph.node[-1]
    assert (node.op_type, len(node.input)) == (engine_nms.PLUGIN, 2)
    options = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    assert options["plugin_version"] == b"1"
    assert options["max_output_boxes"] == 20
    sizes = {
        one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim]
        for one in model.graph.output
    }
    assert sizes == {
        "num_detections": [4, 1],
        "detection_boxes": [4, 20, 4],
        "detection_scores": [4, 20],
        "detection_classes": [4, 20],
    }


def test_behind_halves_boxes_are_decoded_in_float32():
    half = half_precision.convert(_network(SPEC), half_precision.FP16)
    model = efficient_nms.append(half, _anchors(), SPEC)
    onnx.checker.check_model(model, full_check=True)
    added = [one for one in model.graph.initializer if one.name.startswith("nms/constant")]
    kinds = {one.data_type for one in added}
    assert kinds == {TensorProto.FLOAT, TensorProto.INT64}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architecture": TWO_STAGE}, "the model has two stages, which EfficientNMS_TRT cannot"),
        ({"nms": dataclasses.replace(NMS, soft_nms_sigma=0.5)}, r"soft NMS \(sigma 0\.5\)"),
        ({"nms": dataclasses.replace(NMS, max_per_class=5)}, "5 boxes of a class and 20 in all"),
    ],
    ids=["two stages", "soft NMS", "few of a class"],
)
def test_what_the_plugin_cannot_is_refused(changes, says):
    with pytest.raises(UserError, match=f"--nms_in_engine: .*{says}"):
        efficient_nms.refuse_unsupported(dataclasses.replace(SPEC, **changes))
