"""A model repository for NVIDIA's Triton Inference Server.

The layout and `config.pbtxt` are described in Triton's user guide ("Model Repository", "Model
Configuration" and "Ensemble Models"). `<model>` is the network, as ONNX or as an engine of
TensorRT; for one-stage models `<model>_pictures` is the whole path from pictures to boxes: an
ensemble of `<model>_preprocessing`, the network and `<model>_postprocessing`.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from roadmark.errors import UserError
from roadmark.export import detection_graphs
from roadmark.manifest import Manifest

# The format's name, and its folder in an export.
TRITON = "triton"
_ONNX, _PLAN = "onnxruntime_onnx", "tensorrt_plan"
_FILES = {_ONNX: "model.onnx", _PLAN: "model.plan"}
_NUMBERS = {
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.INT32: "TYPE_INT32",
    TensorProto.UINT8: "TYPE_UINT8",
}
_TYPES = {"float32": "TYPE_FP32", "int32": "TYPE_INT32", "uint8": "TYPE_UINT8"}
# With a free batch: what Triton may put together, and for how long it may wait for that.
_MAX_BATCH_SIZE = 8
_MAX_DELAY_US = 2000
# Name, Triton's type, and sizes without the batch.
_Tensor = tuple[str, str, Sequence[int]]


def write(
    repository: Path,
    network: Path,
    description: Manifest,
    batch_size: int,
    anchors: np.ndarray | None = None,
) -> None:
    """Writes the network, and for a one-stage model what makes pictures to boxes of it.

    Args:
        repository: Folder of models; made when missing.
        network: As ONNX; copied.
        description: What the manifest of the export says.
        batch_size: The only one that the network takes; 0 for any.
        anchors: float32 `[N, 4]`, normalised; None for two stages, which have no ensemble.
    """
    name = description.model
    _write(repository / name, config(description, batch_size), network)
    if anchors is None or not detection_graphs.has_graphs(description.postprocess):
        return
    preprocessing = detection_graphs.preprocessing(description.input)
    postprocessing = detection_graphs.postprocessing(description, anchors)
    parts = _parts(description)
    for step, graph in (("preprocessing", preprocessing), ("postprocessing", postprocessing)):
        text = _config(f"{name}_{step}", _ONNX, batch_size, *parts[step])
        _write(repository / f"{name}_{step}", text, graph)
    _write(repository / f"{name}_pictures", ensemble(description, batch_size), None)


def write_plan(
    repository: Path, plan: Path, description: Manifest, batch_size: int, largest: int
) -> None:
    """Puts an engine of TensorRT in the place of the network; what surrounds it stays.

    Args:
        repository: As `write` has left it.
        plan: The engine; copied.
        description: What the manifest of the export says.
        batch_size: The only one that it takes; 0 where it takes several.
        largest: The largest that it takes.

    Raises:
        UserError: The repository is another model's.
    """
    folder = repository / description.model
    if not folder.is_dir():
        raise UserError(folder, "found no such model", "export again with --format=triton,tensorrt")
    shutil.rmtree(folder)
    inputs, outputs = _parts(description)["network"]
    text = _config(description.model, _PLAN, batch_size, inputs, outputs, largest)
    _write(folder, text, plan, _PLAN)
    around = repository / f"{description.model}_pictures"
    if around.is_dir():
        shutil.rmtree(around)
        # No part of an ensemble may take fewer than the whole.
        _write(around, ensemble(description, batch_size, min(largest, _MAX_BATCH_SIZE)), None)


def config(description: Manifest, batch_size: int) -> str:
    """`config.pbtxt` of the network; see `write`."""
    return _config(description.model, _ONNX, batch_size, *_parts(description)["network"])


def ensemble(description: Manifest, batch_size: int, largest: int = _MAX_BATCH_SIZE) -> str:
    """`config.pbtxt` from pictures to boxes; see `write` and `write_plan`."""
    name, parts = description.model, _parts(description)
    inputs, outputs = parts["preprocessing"][0], parts["postprocessing"][1]
    steps = [
        _step(f"{name}_preprocessing", *parts["preprocessing"]),
        _step(name, *parts["network"]),
        _step(f"{name}_postprocessing", *parts["postprocessing"]),
    ]
    lines = _head(f"{name}_pictures", "ensemble", batch_size, inputs, outputs, largest)
    return "\n".join([*lines, "ensemble_scheduling {", *steps, "}"]) + "\n"


def _parts(description: Manifest) -> dict[str, tuple[list[_Tensor], list[_Tensor]]]:
    """Inputs and outputs of each model."""
    spec = description.input
    inputs = [(spec.name, _TYPES[spec.dtype], (spec.height, spec.width, 3))]
    if spec.true_shapes_name:
        inputs.append((spec.true_shapes_name, _TYPES["int32"], (3,)))
    outputs = [(one.name, _TYPES[one.dtype], one.shape[1:]) for one in description.outputs]
    return {
        "preprocessing": (
            _typed(detection_graphs.inputs_of_preprocessing()),
            _typed(detection_graphs.outputs_of_preprocessing(spec)),
        ),
        "network": (inputs, outputs),
        "postprocessing": (
            _typed(detection_graphs.inputs_of_postprocessing(description)),
            _typed(detection_graphs.outputs_of_postprocessing(description.postprocess)),
        ),
    }


def _typed(tensors: Iterable[detection_graphs.Tensor]) -> list[_Tensor]:
    return [(name, _NUMBERS[kind], sizes) for name, kind, sizes in tensors]


def _config(
    name: str,
    platform: str,
    batch_size: int,
    inputs: Sequence[_Tensor],
    outputs: Sequence[_Tensor],
    largest: int = _MAX_BATCH_SIZE,
) -> str:
    lines = _head(name, platform, batch_size, inputs, outputs, largest)
    if not batch_size:
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {_MAX_DELAY_US} }}")
    return "\n".join(lines) + "\n"


def _head(
    name: str,
    platform: str,
    batch_size: int,
    inputs: Sequence[_Tensor],
    outputs: Sequence[_Tensor],
    largest: int,
) -> list[str]:
    # Triton adds the batch to the sizes where it may be put together, and only there.
    batch = (batch_size,) if batch_size else ()
    return [
        f'name: "{name}"',
        f'platform: "{platform}"',
        f"max_batch_size: {0 if batch_size else largest}",
        *(_tensor("input", one, batch) for one in inputs),
        *(_tensor("output", one, batch) for one in outputs),
    ]


def _tensor(kind: str, tensor: _Tensor, batch: tuple[int, ...]) -> str:
    name, number, sizes = tensor
    return f'{kind} {{ name: "{name}" data_type: {number} dims: {[*batch, *sizes]} }}'


def _step(model: str, inputs: Sequence[_Tensor], outputs: Sequence[_Tensor]) -> str:
    """Tensors of the ensemble have the names that they have in its parts."""
    maps = [
        f'    {kind} {{ key: "{name}" value: "{name}" }}'
        for kind, tensors in (("input_map", inputs), ("output_map", outputs))
        for name, _, _ in tensors
    ]
    head = f'    model_name: "{model}"\n    model_version: -1'
    return "\n".join(["  step {", head, *maps, "  }"])


def _write(
    folder: Path, text: str, network: Path | onnx.ModelProto | None, platform: str = _ONNX
) -> None:
    version = folder / "1"
    version.mkdir(parents=True)
    (folder / "config.pbtxt").write_text(text, encoding="utf-8")
    if network is None:
        # Empty folders do not survive every way of copying, and Triton wants this one.
        (version / "README").write_text("An ensemble has no file of its own.\n", encoding="utf-8")
    elif isinstance(network, Path):
        shutil.copyfile(network, version / _FILES[platform])
    else:
        onnx.save(network, version / _FILES[platform])
