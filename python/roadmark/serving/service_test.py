"""The service in this process, by ASGI, with a trained model on OpenVINO."""

import asyncio
import base64
import collections
import concurrent.futures
import contextlib
import functools
import io
import json
import shutil
import threading
from pathlib import Path

import httpx
import hypothesis
import numpy as np
import pytest
import schemathesis
from hypothesis import strategies
from PIL import Image
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from roadmark.data import synthetic
from roadmark.errors import UserError
from roadmark.inference.detector import Detector
from roadmark.serving import models, pictures
from roadmark.serving.models import Models, ServedModel
from roadmark.serving.options import Limits, ServeOptions
from roadmark.serving.service import application
from roadmark.serving.telemetry import Metrics
from roadmark.serving.urls import Fetcher

FOLDER = Path("tests/models/quickstart/export")
STREET = synthetic.render_scene(7, 0).image
JPEG = pictures.encode(STREET, pictures.JPEG)
PNG = pictures.encode(STREET, pictures.PNG)
AS_JPEG, AS_JSON = {"content-type": "image/jpeg"}, {"content-type": "application/json"}
PATIENCE_S = 30


@pytest.fixture(scope="module")
def detector():
    return Detector.load(FOLDER, engine="openvino")


def served_model(detector, options, threads, metrics, name, folder):
    del folder
    return ServedModel(name, detector, options, threads, metrics)


@contextlib.asynccontextmanager
async def service(detector, folder=FOLDER, engine=None, **changes):
    """A client of a service; the folder is loaded for real when no detector is given."""
    options = ServeOptions(**{"engine": "openvino"} | changes)
    metrics = Metrics()
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        load = functools.partial(models.load, options=options, decoders=threads, metrics=metrics)
        if detector is not None:
            load = functools.partial(served_model, detector, options, threads, metrics)
        served = Models({"street": folder, "again": folder}, load, options.limits.pictures, metrics)
        served.load_all()
        fetcher = Fetcher(options.allowed_urls, options.limits.body_bytes, 5)
        app = application(served, options, threads, fetcher, metrics)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            client.app, client.models = app, served
            yield client
        await served.close()
        await fetcher.close()


def ask(detector, method, path, **request):
    """One answer of a fresh service."""

    async def ask():
        options = request.pop("options", {})
        async with service(detector, **options) as client:
            return await client.request(method, path, **request)

    return asyncio.run(ask())


def as_json(*images, **more):
    encoded = [{"base64": base64.b64encode(one).decode()} for one in images]
    return json.dumps({"images": encoded, **more})


def test_pictures_are_answered_as_the_detector_sees_them(detector):
    async def check():
        async with service(detector) as client:
            return [
                await client.post("/invocations", content=JPEG, headers=AS_JPEG),
                await client.post(
                    "/invocations?score_threshold=0.2",
                    content=as_json(JPEG, PNG, score_threshold=0.1),
                    headers=AS_JSON,
                ),
                await client.post(
                    "/invocations?score_threshold=0.9999", content=JPEG, headers=AS_JPEG
                ),
            ]

    one, batch, nothing = asyncio.run(check())
    assert [answer.status_code for answer in (one, batch, nothing)] == [200] * 3
    (expected,) = detector.detect([pictures.decode(JPEG, 10**6)], 0.4)
    assert len(expected) > 0
    (found,) = one.json()["predictions"]
    assert (found["height"], found["width"]) == STREET.shape[:2]
    assert [each["box"] for each in found["objects"]] == [
        [round(value, 2) for value in box] for box in expected.boxes.tolist()
    ]
    assert [each["class_id"] for each in found["objects"]] == expected.classes.tolist()
    assert found["objects"][0]["class_name"] == detector.label_map[expected.classes[0]]
    more = detector.detect([pictures.decode(JPEG, 10**6), STREET], 0.1)
    counts = [len(each["objects"]) for each in batch.json()["predictions"]]
    assert counts == [len(each) for each in more]
    assert nothing.json()["predictions"][0]["objects"] == []


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png"])
def test_the_annotated_picture_has_boxes(detector, media_type):
    answer = ask(
        detector,
        "POST",
        "/invocations",
        content=PNG,
        headers={"content-type": "image/png", "accept": media_type},
    )
    assert answer.headers["content-type"] == media_type
    drawn = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))
    assert drawn.shape == STREET.shape
    assert (np.abs(drawn.astype(int) - STREET) > 100).any()


def test_the_open_inference_protocol(detector):
    async def check():
        async with service(detector) as client:
            for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/street/ready"):
                assert (await client.get(path)).status_code == 200
            description = (await client.get("/v2/models/street")).json()
            tensor = description["inputs"][0] | {"shape": [1]}
            data = [base64.b64encode(JPEG).decode()]
            head = {"inputs": [tensor | {"data": data}], "id": "7"}
            as_file = await client.post("/v2/models/street/infer", json=head)
            pixels = {"datatype": "UINT8", "shape": [1, *STREET.shape]}
            tensor |= pixels | {"parameters": {"binary_data_size": STREET.nbytes}}
            binary = {"binary_data_output": True, "score_threshold": 0.2}
            head = json.dumps({"inputs": [tensor], "parameters": binary}).encode()
            as_pixels = await client.post(
                "/v2/models/street/infer",
                content=head + STREET.tobytes(),
                headers={"inference-header-content-length": str(len(head))},
            )
            return description, as_file, as_pixels

    description, as_file, as_pixels = asyncio.run(check())
    answer = as_file.json()
    assert answer["id"] == "7"
    named = {one["name"]: one for one in answer["outputs"]}
    assert list(named) == [one["name"] for one in description["outputs"]]
    expected = detector.detect([pictures.decode(JPEG, 10**6)], 0.4)[0]
    assert named["num_detections"]["data"] == [len(expected)]
    assert np.allclose(named["boxes"]["data"], expected.boxes.ravel())
    length = int(as_pixels.headers["inference-header-content-length"])
    outputs = {one["name"]: one for one in json.loads(as_pixels.content[:length])["outputs"]}
    expected = detector.detect([STREET], 0.2)[0]
    assert outputs["boxes"]["shape"] == [1, len(expected), 4]
    assert len(as_pixels.content) == length + sum(
        one["parameters"]["binary_data_size"] for one in outputs.values()
    )


POST, GET = "POST", "GET"
SMALL = {"options": {"limits": Limits(body_bytes=200_000, pixels=5000, pictures=3)}}
WIDE = pictures.encode(np.zeros((1, 5000, 3), np.uint8), pictures.PNG)


@pytest.mark.parametrize(
    ("method", "path", "request_", "status", "says"),
    [
        (GET, "/nowhere", {}, 404, "Not Found"),
        (GET, "/invocations", {}, 405, "Method Not Allowed"),
        (GET, "/v2/models/other", {}, 404, "found 'other', expected one of street, again"),
        (GET, "/v2/models/other/ready", {}, 404, "model"),
        (POST, "/v2/models/other/infer", {}, 404, "model"),
        (POST, "/invocations", {"headers": {"X-Amzn-SageMaker-Target-Model": "x"}}, 404, "model"),
        (POST, "/invocations", {}, 415, "Content-Type: found ''"),
        (POST, "/invocations", {"headers": {"content-type": "text/csv"}}, 415, "text/csv"),
        (
            POST,
            "/invocations",
            {"headers": AS_JPEG | {"content-encoding": "gzip"}, "content": b"x"},
            415,
            "Content-Encoding",
        ),
        (POST, "/invocations", {"headers": AS_JPEG}, 400, "image 0: begins with b''"),
        (POST, "/invocations", {"headers": AS_JPEG, "content": b"x"}, 400, "JPEG or PNG"),
        (
            POST,
            "/invocations",
            {"headers": AS_JPEG, "content": JPEG[:999]},
            400,
            "cannot be decoded",
        ),
        (POST, "/invocations", {"headers": AS_JSON}, 400, "body: Invalid JSON"),
        (POST, "/invocations", {"headers": AS_JSON, "content": b"[" * 9999}, 400, "Invalid JSON"),
        (POST, "/invocations", {"headers": AS_JSON, "content": b"\xff\0"}, 400, "Invalid JSON"),
        (POST, "/invocations", {"headers": AS_JSON, "content": b"{}"}, 400, "images: Field"),
        (POST, "/invocations", {"json": {"images": []}}, 400, "images: List should have"),
        (POST, "/invocations", {"json": {"images": [{}]}}, 400, "one of base64 and url"),
        (POST, "/invocations", {"json": {"images": [{"base64": "*"}]}}, 400, "no base64"),
        (POST, "/invocations", {"json": {"images": [{"base64": 1}]}}, 400, "valid string"),
        (POST, "/invocations", {"json": {"image": 1}}, 400, "images"),
        (
            POST,
            "/invocations",
            {"content": as_json(JPEG, b"x"), "headers": AS_JSON},
            400,
            "image 1: ",
        ),
        (
            POST,
            "/invocations",
            {"content": as_json(JPEG, score_threshold=2), "headers": AS_JSON},
            400,
            "score_threshold",
        ),
        (POST, "/invocations?score_threshold=nan", {}, 400, "query.score_threshold"),
        (POST, "/invocations?score_threshold=x", {}, 400, "query.score_threshold"),
        (
            POST,
            "/invocations",
            {"json": {"images": [{"url": "http://127.0.0.1/a.jpg"}]}},
            403,
            "not among those allowed",
        ),
        (POST, "/invocations", {"headers": {"accept": "text/html"}}, 406, "Accept: found"),
        (
            POST,
            "/invocations",
            {"content": as_json(JPEG, JPEG), "headers": AS_JSON | {"accept": "image/png"}},
            406,
            "holds one picture, found 2",
        ),
        (
            POST,
            "/invocations",
            {"headers": AS_JPEG, "content": bytes(200_001)} | SMALL,
            413,
            "found 200001 bytes, expected 200000 at most",
        ),
        (
            POST,
            "/invocations",
            {"headers": AS_JPEG, "content": JPEG} | SMALL,
            413,
            "pixels, expected 5000 at most",
        ),
        (
            POST,
            "/invocations",
            {"headers": AS_JSON, "content": as_json(*[b"x"] * 4)} | SMALL,
            413,
            "found 4 pictures, expected 3 at most",
        ),
        (
            POST,
            "/v2/models/street/infer",
            {
                "json": {
                    "inputs": [
                        {
                            "name": "image",
                            "datatype": "UINT8",
                            "shape": [1, 41, 41, 3],
                            "data": [0] * 41 * 41 * 3,
                        }
                    ]
                }
            }
            | {"options": {"limits": Limits(pixels=1000)}},
            413,
            "pixels, expected 1000 at most",
        ),
        (POST, "/v2/models/street/infer", {"content": b"{"}, 400, "Invalid JSON"),
        (
            POST,
            "/v2/models/street/infer",
            {"headers": {"content-type": "image/png"}},
            415,
            "Content-Type",
        ),
        (POST, "/v2/repository/models/street/load", {}, 403, "SIGHUP"),
    ],
)
def test_a_bad_request_is_one_line(detector, method, path, request_, status, says):
    answer = ask(detector, method, path, **request_)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert says in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_extreme_shapes_are_looked_at_or_refused(detector):
    for content in (WIDE, pictures.encode(np.zeros((1, 1, 3), np.uint8), pictures.PNG)):
        answer = ask(detector, "POST", "/invocations", content=content, headers=AS_JPEG)
        assert answer.status_code in (200, 400)


def test_a_body_without_a_length_is_cut_off(detector):
    async def endless():
        while True:
            yield bytes(50_000)

    answer = ask(detector, "POST", "/invocations", content=endless(), headers=AS_JPEG, **SMALL)
    assert answer.status_code == 413


def test_a_body_that_trickles_in_is_given_up(detector):
    async def slow():
        yield JPEG[:10]
        await asyncio.sleep(PATIENCE_S)

    answer = ask(
        detector,
        "POST",
        "/invocations",
        content=slow(),
        headers=AS_JPEG,
        options={"limits": Limits(time_s=0.05)},
    )
    assert answer.status_code == 408


def test_a_token_is_asked_for(detector):
    async def check():
        async with service(detector, token="secret") as client:
            for path in ("/ping", "/v2/health/live", "/v2/health/ready", "/docs"):
                assert (await client.get(path)).status_code == 200
            for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": "secret"}):
                for path in ("/v2", "/metrics", "/v2/models/street"):
                    answer = await client.get(path, headers=given)
                    assert answer.status_code == 401
                    assert answer.headers["www-authenticate"] == "Bearer"
                answer = await client.post("/invocations", content=JPEG, headers=AS_JPEG | given)
                assert answer.status_code == 401
            right = {"authorization": "Bearer secret"}
            answer = await client.post("/invocations", content=JPEG, headers=AS_JPEG | right)
            assert answer.status_code == 200

    asyncio.run(check())


class Held(Detector):
    """The model, which gives no result before it is let go."""

    def __init__(self, real):
        super().__init__(real.manifest, real.engine, real.anchors)
        self.go = threading.Event()

    def outputs(self, submitted):
        assert self.go.wait(PATIENCE_S)
        return super().outputs(submitted)


def test_a_full_queue_says_when_to_come_again(detector):
    async def check():
        held = Held(detector)
        async with service(held, limits=Limits(pictures=3)) as client:
            post = functools.partial(client.post, "/invocations", content=JPEG, headers=AS_JPEG)
            first = [asyncio.create_task(post()) for _ in range(3)]
            await asyncio.sleep(0)  # Each goes as far as its first wait.
            assert 'admitted{model="street"} 3.0' in (await client.get("/metrics")).text
            refused = await post()
            other = {"X-Amzn-SageMaker-Target-Model": "again"}
            full = await client.get("/ping")
            held.go.set()
            assert full.status_code == 200
            answers = await asyncio.gather(*first)
            assert [one.status_code for one in answers] == [200] * 3
            again = await client.post("/invocations", content=JPEG, headers=AS_JPEG | other)
            return refused, again, await post()

    refused, other_model, later = asyncio.run(check())
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "3 of at most 3 pictures wait already" in refused.json()["error"]
    assert other_model.status_code == later.status_code == 200


def test_a_model_that_takes_too_long(detector):
    async def check():
        held = Held(detector)
        async with service(held, limits=Limits(time_s=0.1)) as client:
            late = await client.post("/invocations", content=JPEG, headers=AS_JPEG)
            held.go.set()
            metrics = await client.get("/metrics")
            return late, metrics.text

    late, metrics = asyncio.run(check())
    assert late.status_code == 504
    assert 'roadmark_pictures_admitted{model="street"} 0.0' in metrics


def test_a_failing_network_is_500_and_the_next_request_is_served(detector, caplog):
    class Failing(Detector):
        fails = True

        def outputs(self, submitted):
            found = super().outputs(submitted)
            if Failing.fails:
                Failing.fails = False
                raise RuntimeError("no memory")
            return found

    async def check():
        failing = Failing(detector.manifest, detector.engine, detector.anchors)
        async with service(failing) as client:
            return [
                await client.post("/invocations", content=JPEG, headers=AS_JPEG) for _ in range(2)
            ]

    caplog.set_level("INFO", "roadmark.serving")
    failed, served = asyncio.run(check())
    assert failed.status_code == 500
    assert "no memory" not in failed.text
    assert served.status_code == 200
    lines = [(record.getMessage(), record.facts) for record in caplog.records]
    assert [event for event, _ in lines] == ["failed", "request", "request"]
    assert "no memory" in lines[0][1]["error"]
    assert lines[0][1]["id"] == lines[1][1]["id"] == failed.headers["x-request-id"]
    assert [facts["status"] for _, facts in lines[1:]] == [500, 200]


def test_metrics_count(detector):
    async def check():
        async with service(detector) as client:
            await client.post("/invocations", content=as_json(JPEG, PNG), headers=AS_JSON)
            await client.get("/v2/models/street")
            await client.get("/%00<script>")
            return (await client.get("/metrics")).text

    metrics = asyncio.run(check())
    for line in (
        'roadmark_requests_total{method="POST",path="/invocations",status="200"} 1.0',
        'roadmark_requests_total{method="GET",path="/v2/models/{name}",status="200"} 1.0',
        'roadmark_requests_total{method="GET",path="unknown",status="404"} 1.0',
        'roadmark_batch_pictures_sum{model="street"} 2.0',
        'roadmark_model_info{engine="openvino, fp32, on the CPU",model="street"',
    ):
        assert line in metrics


def test_pictures_by_url(detector):
    async def serve_files(reader, writer):
        target = (await reader.readline()).split()[1]
        while (await reader.readline()).strip():
            pass
        body = {b"/ok/a.jpg": JPEG, b"/ok/large": bytes(200_000)}.get(target)
        if target == b"/ok/elsewhere":
            writer.write(b"HTTP/1.1 302 Found\r\nlocation: /secret\r\ncontent-length: 0\r\n\r\n")
        elif target == b"/ok/cut":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nx")
        elif body is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def check():
        files = await asyncio.start_server(serve_files, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{files.sockets[0].getsockname()[1]}"
        limits = Limits(body_bytes=len(JPEG) + 100_000)
        async with files, service(detector, allowed_urls=(f"{origin}/ok/",), limits=limits) as c:
            answers = {}
            for url in (
                f"{origin}/ok/a.jpg",
                f"{origin}/ok/none",
                f"{origin}/ok/elsewhere",
                f"{origin}/ok/cut",
                f"{origin}/ok/large",
                f"{origin}/secret",
                f"{origin}/ok/../secret",
                f"{origin}/ok/%2e%2e/secret",
                f"{origin}@evil/ok/a.jpg",
                "http://127.0.0.1:1/ok/a.jpg",
                "file:///ok/a.jpg",
                "http://a:b/",
                "",
            ):
                answer = await c.post("/invocations", json={"images": [{"url": url}]})
                answers[url.removeprefix(origin)] = answer.status_code
            return answers

    assert asyncio.run(check()) == {
        "/ok/a.jpg": 200,
        "/ok/none": 424,
        "/ok/elsewhere": 424,
        "/ok/cut": 424,
        "/ok/large": 413,
        "/secret": 403,
        "/ok/../secret": 403,
        "/ok/%2e%2e/secret": 403,
        "@evil/ok/a.jpg": 403,
        "http://127.0.0.1:1/ok/a.jpg": 403,
        "file:///ok/a.jpg": 403,
        "http://a:b/": 400,
        "": 403,
    }


@pytest.fixture
def export(tmp_path):
    return Path(shutil.copytree(FOLDER, tmp_path / "export"))


def altered(folder):
    (folder / "anchors.npy").write_bytes(b"other anchors")


def half_swapped(folder):
    (folder / "raw" / "saved_model.pb").unlink()


def with_a_stranger(folder):
    (folder / "raw" / "more.pb").touch()


def gone(folder):
    shutil.rmtree(folder)


def other_manifest(folder):
    (folder / "manifest.json").write_text("{}")


@pytest.mark.parametrize(
    ("swap", "says"),
    [
        (altered, "anchors.npy: altered"),
        (half_swapped, "saved_model.pb: missing"),
        (with_a_stranger, "does not list"),
        (gone, "manifest.json: not found"),
        (other_manifest, "schema version None"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_swapped_folder_is_refused_while_the_old_model_serves(export, detector, swap, says):
    async def check():
        options = ServeOptions(engine="openvino", token="t")
        async with service(detector, export, token="t") as client:
            metrics = Metrics()
            with concurrent.futures.ThreadPoolExecutor(1) as threads:
                client.models._load = functools.partial(
                    models.load, options=options, decoders=threads, metrics=metrics
                )
                swap(export)
                client.headers["authorization"] = "Bearer t"
                refused = await client.post("/v2/repository/models/street/load")
            served = await client.post("/invocations", content=JPEG, headers=AS_JPEG)
            return refused, served, (await client.get("/metrics")).text

    refused, served, metrics = asyncio.run(check())
    assert refused.status_code == 409
    assert says in refused.json()["error"]
    assert str(export) in refused.json()["error"]
    assert served.status_code == 200
    assert 'roadmark_reloads_total{model="street",result="refused"} 1.0' in metrics


def test_a_foreign_engine_is_served_only_when_it_is_trusted(export):
    (export / "tensorrt").mkdir()
    engine = export / "tensorrt/model_fp16.engine"
    engine.write_bytes(b"built by trtexec")
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        for trust in (False, True):
            options = ServeOptions(engine="openvino", trust=trust)
            load = functools.partial(models.load, "street", export, options, threads, Metrics())
            if trust:
                load().close()
                continue
            with pytest.raises(UserError, match=r"found a file that .* with --trust") as refused:
                load()
            assert refused.value.where == str(engine)


def test_reloads_lose_no_request(export):
    """And what is altered on disk afterwards does not change what is served."""

    async def check():
        async with service(None, export, token="t") as client:
            client.headers["authorization"] = "Bearer t"
            stop = asyncio.Event()

            async def load():
                answers = []
                while not stop.is_set():
                    answers.append(await client.post("/invocations", content=JPEG, headers=AS_JPEG))
                return answers

            clients = [asyncio.create_task(load()) for _ in range(3)]
            reloads = [await client.post("/v2/repository/models/street/load") for _ in range(3)]
            for file in (export / "raw").rglob("*"):
                if file.is_file():
                    file.write_bytes(b"\0" * file.stat().st_size)
            await asyncio.sleep(0.2)
            stop.set()
            answers = [one for many in await asyncio.gather(*clients) for one in many]
            return reloads, answers, client.models

    reloads, answers, served = asyncio.run(check())
    assert [one.status_code for one in reloads] == [200] * 3
    assert len(answers) > 10
    assert {one.status_code for one in answers} == {200}
    assert len({one.text for one in answers}) == 1, "the results stay the same"
    assert not served._retiring


def test_draining_is_said(detector):
    async def check():
        async with service(detector) as client:
            client.app.is_draining = True
            answers = [await client.get(path) for path in ("/ping", "/v2/health/ready")]
            live = await client.get("/v2/health/live")
            return answers, live, await client.post("/invocations", content=JPEG, headers=AS_JPEG)

    unready, live, served = asyncio.run(check())
    assert [one.status_code for one in unready] == [503, 503]
    assert live.status_code == served.status_code == 200
    assert served.headers["connection"] == "close"


@strategies.composite
def damaged_pictures(draw):
    data = bytearray(draw(strategies.sampled_from([JPEG, PNG])))
    for _ in range(draw(strategies.integers(0, 4))):
        data[draw(strategies.integers(0, len(data) - 1))] = draw(strategies.integers(0, 255))
    return bytes(data[: draw(strategies.integers(0, len(data)))])


_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_requests_of_every_kind_get_no_500(detector, mode):
    for media_type in (pictures.JPEG, pictures.PNG, pictures.ANY_PICTURE):
        schemathesis.openapi.media_type(media_type, damaged_pictures())
    schemathesis.openapi.media_type("application/octet-stream", strategies.binary(max_size=200))
    options, metrics = ServeOptions(token="t"), Metrics()
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        load = functools.partial(served_model, detector, options, threads, metrics)
        served = Models({"street": FOLDER}, load, 64, metrics)
        served.load_all()
        app = application(served, options, threads, Fetcher((), 1000, 1), metrics)
        statuses = collections.Counter()
        schema = schemathesis.openapi.from_asgi("/openapi.json", app)
        for found in schema.get_all_operations():
            statuses.update(_fuzz(found.ok(), mode))
        asyncio.run(served.close())
    assert statuses[200 if mode.is_positive else 400] > 0, statuses
    assert 500 not in statuses


def _fuzz(operation, mode):
    statuses = collections.Counter()
    if operation.path.endswith("/load"):
        return statuses  # Has a test of its own, and takes long.
    named = {"name": "street"} if "{name}" in operation.path else None

    @hypothesis.settings(
        max_examples=10 if operation.method == "post" else 3,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode, path_parameters=named))
    def try_one(case):
        headers = {"authorization": "Bearer t"}
        statuses[case.call_and_validate(headers=headers, checks=_CHECKS).status_code] += 1

    with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # Nothing to get wrong.
        try_one()
    return statuses
