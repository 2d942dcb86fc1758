"""A model repository for NVIDIA's Triton Inference Server: the network as ONNX, and how it is fed.

The layout and `config.pbtxt` are described in Triton's user guide ("Model Repository" and "Model
Configuration"). Pre- and post-processing stay with the client, as the manifest has them.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from roadmark.manifest import Manifest

_TYPES = {"float32": "TYPE_FP32", "int32": "TYPE_INT32", "uint8": "TYPE_UINT8"}
# With a free batch: what Triton may put together, and for how long it may wait for that.
_MAX_BATCH_SIZE = 8
_MAX_DELAY_US = 2000


def write(repository: Path, onnx: Path, description: Manifest, batch_size: int) -> None:
    """Writes `<model>/config.pbtxt` and `<model>/1/model.onnx`.

    Args:
        repository: Folder of models; made when missing.
        onnx: The network; copied.
        description: What the manifest of the export says.
        batch_size: The only one that the network takes; 0 for any.
    """
    folder = repository / description.model
    (folder / "1").mkdir(parents=True)
    shutil.copyfile(onnx, folder / "1" / "model.onnx")
    (folder / "config.pbtxt").write_text(config(description, batch_size), encoding="utf-8")


def config(description: Manifest, batch_size: int) -> str:
    """`config.pbtxt` of a network; see `write`."""
    spec = description.input
    inputs = [(spec.name, spec.dtype, (spec.height, spec.width, 3))]
    if spec.true_shapes_name:
        inputs.append((spec.true_shapes_name, "int32", (3,)))
    outputs = [(one.name, one.dtype, one.shape[1:]) for one in description.outputs]
    # Triton adds the batch to the sizes where it may be put together, and only there.
    batch = (batch_size,) if batch_size else ()
    lines = [
        f'name: "{description.model}"',
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {0 if batch_size else _MAX_BATCH_SIZE}",
        *_tensors("input", inputs, batch),
        *_tensors("output", outputs, batch),
    ]
    if not batch_size:
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {_MAX_DELAY_US} }}")
    return "\n".join(lines) + "\n"


def _tensors(
    kind: str, tensors: Iterable[tuple[str, str, tuple[int, ...]]], batch: tuple[int, ...]
) -> list[str]:
    return [
        f'{kind} {{ name: "{name}" data_type: {_TYPES[dtype]} dims: {[*batch, *sizes]} }}'
        for name, dtype, sizes in tensors
    ]
