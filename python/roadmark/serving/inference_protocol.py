"""Bodies of the open inference protocol, version 2, as KServe and Triton speak it.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
and, for binary data, Triton's `protocol/extension_binary_data.md`: the body is a JSON header, whose
length a header field tells, and the tensors' bytes behind it, in order.
"""

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydantic

from roadmark.serving.invocations import from_base64, parse_json
from roadmark.serving.models import Found, Picture
from roadmark.serving.refusal import RefusedError

HEADER_LENGTH = "inference-header-content-length"
INPUT = "image"
BYTES, UINT8 = "BYTES", "UINT8"
_OUTPUTS = {"num_detections": "INT32", "boxes": "FP32", "scores": "FP32", "classes": "INT32"}
_PLATFORM = "roadmark"
_MAX_DIMENSION = 1 << 31


class _Parameters(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


class InputParameters(_Parameters):
    """Of an input."""

    binary_data_size: int | None = pydantic.Field(None, ge=0)


class OutputParameters(_Parameters):
    """Of an output."""

    binary_data: bool = False


class RequestParameters(_Parameters):
    """Of a request."""

    binary_data_output: bool = False
    score_threshold: float | None = pydantic.Field(None, ge=0, le=1)


class InferInput(pydantic.BaseModel):
    """A tensor of pictures: files as BYTES `[n]`, or RGB as UINT8 `[n, height, width, 3]`."""

    name: str
    shape: list[int] = pydantic.Field(min_length=1, max_length=4)
    datatype: str
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = None


class InferOutput(pydantic.BaseModel):
    """A tensor that is asked for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferRequest(pydantic.BaseModel):
    """What clients send."""

    id: str | None = None
    parameters: RequestParameters = RequestParameters()
    inputs: list[InferInput]
    outputs: list[InferOutput] = []


class ResponseOutput(pydantic.BaseModel):
    """A tensor."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class InferResponse(pydantic.BaseModel):
    """What they get, unless they ask for binary data."""

    model_name: str
    id: str | None = None
    outputs: list[ResponseOutput]


def metadata(name: str, platform: str) -> dict[str, Any]:
    """What a model takes and gives.

    Args:
        name: The model's.
        platform: Of its engine.
    """
    shapes = {"num_detections": [-1], "boxes": [-1, -1, 4], "scores": [-1, -1], "classes": [-1, -1]}
    return {
        "name": name,
        "platform": f"{_PLATFORM}_{platform}",
        "inputs": [{"name": INPUT, "datatype": BYTES, "shape": [-1]}],
        "outputs": [
            {"name": output, "datatype": datatype, "shape": shapes[output]}
            for output, datatype in _OUTPUTS.items()
        ],
    }


def parse(body: bytes, header_length: str | None) -> tuple[InferRequest, list[Picture]]:
    """A request and its pictures.

    Args:
        body: All of it.
        header_length: The value of `HEADER_LENGTH`; None where the body is JSON alone.

    Raises:
        RefusedError: It is not of this form; names the field.
    """
    head, rest = _split(body, header_length)
    request = parse_json(InferRequest, head)
    if len(request.inputs) != 1 or request.inputs[0].name != INPUT:
        found = ", ".join(one.name for one in request.inputs)
        raise RefusedError(400, f"inputs: found {found or 'none'}, expected one, {INPUT!r}")
    for output in request.outputs:
        if output.name not in _OUTPUTS:
            raise RefusedError(
                400, f"outputs: found {output.name!r}, expected some of {', '.join(_OUTPUTS)}"
            )
    return request, _pictures(request.inputs[0], rest)


def answer(request: InferRequest, model: str, found: Sequence[Found]) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON where binary data follow.

    Each picture has as many rows as the one with most objects; the rest of them is zeros.

    Args:
        request: What it answers.
        model: Its name.
        found: One per picture.
    """
    tensors = _tensors(found)
    wanted = request.outputs or [InferOutput(name=name) for name in _OUTPUTS]
    outputs, binary = [], []
    for one in wanted:
        tensor = tensors[one.name]
        output = {
            "name": one.name,
            "datatype": _OUTPUTS[one.name],
            "shape": list(tensor.shape),
        }
        if one.parameters.binary_data or request.parameters.binary_data_output:
            output["parameters"] = {"binary_data_size": tensor.nbytes}
            binary.append(tensor.tobytes())
        else:
            output["data"] = tensor.ravel().tolist()
        outputs.append(output)
    content = {"model_name": model, "outputs": outputs}
    if request.id is not None:
        content["id"] = request.id
    head = json.dumps(content, separators=(",", ":")).encode()
    return b"".join([head, *binary]), len(head) if binary else None


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    is_number = header_length.isascii() and header_length.isdecimal() and len(header_length) < 12
    if not is_number or int(header_length) > len(body):
        problem = f"found {header_length!r}, expected a length within the body of {len(body)} bytes"
        raise RefusedError(400, f"{HEADER_LENGTH}: {problem}")
    return body[: int(header_length)], body[int(header_length) :]


def _pictures(tensor: InferInput, rest: bytes) -> list[Picture]:
    if not all(0 < size < _MAX_DIMENSION for size in tensor.shape):
        raise RefusedError(400, f"shape: found {tensor.shape}, expected sizes of 1 or more")
    size = tensor.parameters.binary_data_size
    if (size is None) == (tensor.data is None):
        raise RefusedError(400, "inputs.0: expected one of data and parameters.binary_data_size")
    if size is not None and size != len(rest):
        problem = f"found {size}, {len(rest)} bytes follow the header"
        raise RefusedError(400, f"binary_data_size: {problem}")
    if tensor.datatype == BYTES:
        return _files(tensor, rest)
    if tensor.datatype == UINT8:
        return _images(tensor, rest)
    raise RefusedError(400, f"datatype: found {tensor.datatype!r}, expected {BYTES} or {UINT8}")


def _files(tensor: InferInput, rest: bytes) -> list[Picture]:
    count = math.prod(tensor.shape)
    if tensor.data is None:
        files = _length_prefixed(rest)
    else:
        if not all(isinstance(one, str) for one in tensor.data):
            raise RefusedError(400, "data: expected a list of texts in base64")
        files = [from_base64(one, f"data.{index}") for index, one in enumerate(tensor.data)]
    if len(files) != count:
        raise RefusedError(400, f"data: found {len(files)} pictures, the shape says {count}")
    return files


def _length_prefixed(rest: bytes) -> list[bytes]:
    """Each with its length before it: 4 bytes, little endian."""
    files, at = [], 0
    while at < len(rest):
        if at + 4 > len(rest):
            raise RefusedError(400, "binary data: ends within a length")
        (size,) = struct.unpack_from("<I", rest, at)
        at += 4 + size
        if at > len(rest):
            raise RefusedError(400, f"binary data: found a length of {size}, which is too long")
        files.append(rest[at - size : at])
    return files


def _images(tensor: InferInput, rest: bytes) -> list[Picture]:
    shape = tensor.shape
    if len(shape) != 4 or shape[3] != 3:
        raise RefusedError(400, f"shape: found {shape}, expected [n, height, width, 3] for {UINT8}")
    values = np.frombuffer(rest, np.uint8) if tensor.data is None else _whole_numbers(tensor.data)
    if values.size != math.prod(shape):
        problem = f"found {values.size} values, the shape says {math.prod(shape)}"
        raise RefusedError(400, f"data: {problem}")
    return list(values.reshape(shape))


def _whole_numbers(data: list[Any]) -> np.ndarray:
    try:
        values = np.asarray(data)
    except (ValueError, OverflowError):
        values = np.array([None])
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
        raise RefusedError(400, "data: expected whole numbers from 0 to 255, lists of one length")
    return values.astype(np.uint8)


def _tensors(found: Sequence[Found]) -> dict[str, np.ndarray]:
    counts = np.array([len(one.detections) for one in found], np.int32)
    shape = (len(found), int(counts.max(initial=0)))
    boxes = np.zeros((*shape, 4), np.float32)
    scores, classes = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    for index, one in enumerate(found):
        rows = slice(0, len(one.detections))
        boxes[index, rows] = one.detections.boxes
        scores[index, rows] = one.detections.scores
        classes[index, rows] = one.detections.classes
    return {"num_detections": counts, "boxes": boxes, "scores": scores, "classes": classes}
