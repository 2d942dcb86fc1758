import base64
import json
import struct

import numpy as np
import pytest

from roadmark.detections import Detections
from roadmark.serving import inference_protocol as protocol
from roadmark.serving.models import Found
from roadmark.serving.refusal import RefusedError


def body(**changes):
    one = {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["YWI="]} | changes
    return json.dumps({"inputs": [{key: one[key] for key in one if one[key] is not None}]})


def binary(rest, **changes):
    parameters = {"binary_data_size": len(rest)}
    head = body(**{"data": None, "parameters": parameters} | changes).encode()
    return head + rest, str(len(head))


def prefixed(*files):
    return b"".join(struct.pack("<I", len(one)) + one for one in files)


def test_files_in_json_and_in_binary():
    data = [base64.b64encode(one).decode() for one in (b"ab", b"")]
    assert protocol.parse(body(data=data, shape=[2]).encode(), None)[1] == [b"ab", b""]
    assert protocol.parse(*binary(prefixed(b"ab", b""), shape=[2]))[1] == [b"ab", b""]


def test_pixels_in_json_and_in_binary():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    terms = {"datatype": "UINT8", "shape": [2, 2, 2, 3]}
    for data in (pixels.tolist(), pixels.ravel().tolist()):
        found = protocol.parse(body(data=data, **terms).encode(), None)[1]
        assert np.array_equal(found, pixels)
    found = protocol.parse(*binary(pixels.tobytes(), **terms))[1]
    assert np.array_equal(found, pixels)


ONE_PIXEL = {"datatype": "UINT8", "shape": [1, 1, 1, 3]}


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ((b"", None), "body: Invalid JSON"),
        ((b"[]", None), "body: "),
        ((b"[" * 100_000, None), "Invalid JSON"),
        ((b"\xff", None), "Invalid JSON"),
        ((b"{}", None), "inputs: Field required"),
        ((b'{"inputs": []}', None), "inputs: found none, expected one, 'image'"),
        ((body(name="x").encode(), None), "inputs: found x"),
        ((body(datatype="FP32").encode(), None), "datatype: found 'FP32'"),
        ((body(shape=[]).encode(), None), "inputs.0.shape"),
        ((body(shape=[0]).encode(), None), "shape: found"),
        ((body(shape=[-1]).encode(), None), "shape: found"),
        ((body(shape=[2]).encode(), None), "found 1 pictures, the shape says 2"),
        ((body(shape=[10**30]).encode(), None), "shape"),
        ((body(data=["?"]).encode(), None), "data.0: found no base64"),
        ((body(data=["é"]).encode(), None), "data.0: found no base64"),
        ((body(data=[1]).encode(), None), "expected a list of texts"),
        ((body(data=None).encode(), None), "expected one of data and"),
        ((body(parameters={"binary_data_size": -1}).encode(), None), "binary_data_size"),
        ((body(parameters={"binary_data_size": 0}).encode(), None), "expected one of data and"),
        ((body(**ONE_PIXEL, data=[1, 2]).encode(), None), "found 2 values, the shape says 3"),
        ((body(**ONE_PIXEL, data=[1, 2, 256]).encode(), None), "whole numbers from 0 to 255"),
        ((body(**ONE_PIXEL, data=[1, 2, -1]).encode(), None), "whole numbers from 0 to 255"),
        ((body(**ONE_PIXEL, data=[1, 2, 10**40]).encode(), None), "whole numbers"),
        ((body(**ONE_PIXEL, data=[1, 2, 0.5]).encode(), None), "whole numbers"),
        ((body(**ONE_PIXEL, data=[1, 2, "3"]).encode(), None), "whole numbers"),
        ((body(**ONE_PIXEL, data=[[1], [2, 3]]).encode(), None), "whole numbers"),
        ((body(**ONE_PIXEL, data=[]).encode(), None), "whole numbers"),
        ((body(datatype="UINT8", shape=[3]).encode(), None), r"\[n, height, width, 3\]"),
        ((b"{}", "3"), "expected a length within the body of 2 bytes"),
        ((b"{}", "x"), "inference-header-content-length: found 'x'"),
        ((b"{}", "-1"), "found '-1'"),
        ((b"{}", "9" * 5000), "expected a length"),
        (binary(b"abc"), "ends within a length"),
        (binary(struct.pack("<I", 2**32 - 1)), "found a length of 4294967295"),
        (binary(prefixed(b"a", b"b")), "found 2 pictures, the shape says 1"),
        (binary(b"ab", **ONE_PIXEL), "found 2 values, the shape says 3"),
        (binary(b"abc", parameters={"binary_data_size": 9}), "found 9, 3 bytes follow"),
    ],
)
def test_a_malformed_request_is_refused(request_, says):
    with pytest.raises(RefusedError, match=says) as refused:
        protocol.parse(*request_)
    assert refused.value.status == 400


FOUND = [
    Found(
        4,
        8,
        Detections(
            np.float32([[0, 1, 2, 3], [1, 1, 2, 2]]), np.float32([0.9, 0.5]), np.int32([2, 1])
        ),
    ),
    Found(4, 8, Detections.empty()),
]


def test_answers_are_padded_with_zeros():
    request, _ = protocol.parse(body().encode(), None)
    content, head = protocol.answer(request, "m", FOUND)
    assert head is None
    outputs = {one["name"]: one for one in json.loads(content)["outputs"]}
    assert outputs["num_detections"]["data"] == [2, 0]
    assert outputs["classes"] == {
        "name": "classes",
        "datatype": "INT32",
        "shape": [2, 2],
        "data": [2, 1, 0, 0],
    }
    assert outputs["boxes"]["shape"] == [2, 2, 4]
    assert outputs["boxes"]["data"] == [0, 1, 2, 3, 1, 1, 2, 2, *[0] * 8]


def test_only_what_is_asked_for_and_in_binary():
    wanted = json.loads(body()) | {
        "id": "7",
        "outputs": [
            {"name": "scores", "parameters": {"binary_data": True}},
            {"name": "num_detections"},
        ],
    }
    request, _ = protocol.parse(json.dumps(wanted).encode(), None)
    content, head = protocol.answer(request, "m", FOUND)
    answer = json.loads(content[:head])
    assert answer["id"] == "7"
    assert [one["name"] for one in answer["outputs"]] == ["scores", "num_detections"]
    assert answer["outputs"][0]["parameters"] == {"binary_data_size": 16}
    scores = np.frombuffer(content[head:], np.float32).reshape(2, 2)
    assert np.array_equal(scores, np.float32([[0.9, 0.5], [0, 0]]))


def test_an_output_that_there_is_not():
    wanted = json.loads(body()) | {"outputs": [{"name": "masks"}]}
    with pytest.raises(RefusedError, match="outputs: found 'masks'"):
        protocol.parse(json.dumps(wanted).encode(), None)
