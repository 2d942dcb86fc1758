"""Decoding and suppression behind a network, for TensorRT: its plugin EfficientNMS_TRT.

Attributes are those of the plugin's README and `PluginConfig.yaml` (NVIDIA/TensorRT,
plugin/efficientNMSPlugin). NVIDIA has it deprecated since TensorRT 10.12. Boxes are decoded by
operators before it, because its own decoder knows no scale factors.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from roadmark.errors import UserError
from roadmark.export import onnx_decoding
from roadmark.inference import engine_nms
from roadmark.manifest import CLASS_AGNOSTIC, ONE_STAGE, SIGMOID, PostprocessSpec

# TensorRT's parser goes by the operator's name; a domain of its own keeps ONNX's checker content.
DOMAIN = "TRT"
_CORNERS = 0
_NO_BACKGROUND = -1


def refuse_unsupported(spec: PostprocessSpec) -> None:
    """Raises UserError for post-processing that the plugin cannot do."""
    problem = None
    if spec.architecture != ONE_STAGE:
        problem = "the model has two stages"
    elif spec.nms.soft_nms_sigma > 0:
        problem = f"the model has soft NMS (sigma {spec.nms.soft_nms_sigma:g})"
    elif spec.nms.mode != CLASS_AGNOSTIC and spec.nms.max_per_class < spec.nms.max_total:
        problem = (
            f"the model allows {spec.nms.max_per_class} boxes of a class and "
            f"{spec.nms.max_total} in all"
        )
    if problem:
        raise UserError(
            "--nms_in_engine", f"{problem}, which {engine_nms.PLUGIN} cannot", "leave it out"
        )


def append(model: onnx.ModelProto, anchors: np.ndarray, spec: PostprocessSpec) -> onnx.ModelProto:
    """A copy with final detections for outputs, as `engine_nms.detections` takes them.

    Args:
        model: With float32 outputs `box_encodings` and `class_logits`.
        anchors: float32 `[N, 4]`, normalised to the network's input.
        spec: From the manifest.

    Raises:
        UserError: The plugin cannot do what `spec` asks for.
    """
    refuse_unsupported(spec)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    batch = made.graph.output[0].type.tensor_type.shape.dim[0]
    batch = batch.dim_value or batch.dim_param
    nodes = onnx_decoding.Nodes(made.graph, "nms/")
    boxes = onnx_decoding.decoded(nodes, anchors, spec.box_coder.scale_factors)
    scores = onnx_decoding.scores(nodes, spec)
    outputs = _outputs(batch, spec.nms.max_total)
    plugin = helper.make_node(
        engine_nms.PLUGIN,
        [boxes, scores],
        [one.name for one in outputs],
        engine_nms.PLUGIN,
        domain=DOMAIN,
        plugin_version="1",
        score_threshold=float(spec.nms.score_threshold),
        iou_threshold=float(spec.nms.iou_threshold),
        max_output_boxes=spec.nms.max_total,
        background_class=_NO_BACKGROUND,
        score_activation=int(spec.score_converter == SIGMOID),
        class_agnostic=int(spec.nms.mode == CLASS_AGNOSTIC),
        box_coding=_CORNERS,
    )
    made.graph.node.append(plugin)
    del made.graph.output[:]
    made.graph.output.extend(outputs)
    made.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return made


def _outputs(batch: int | str, most: int) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, kind, (batch, *sizes))
        for name, kind, sizes in (
            (engine_nms.NUM_DETECTIONS, TensorProto.INT32, (1,)),
            (engine_nms.BOXES, TensorProto.FLOAT, (most, 4)),
            (engine_nms.SCORES, TensorProto.FLOAT, (most,)),
            (engine_nms.CLASSES, TensorProto.INT32, (most,)),
        )
    ]
