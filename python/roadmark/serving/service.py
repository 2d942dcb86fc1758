"""The HTTP service: which path does what.

Everything that takes time happens in threads: decoding, pre-processing, the network,
post-processing, and parsing and writing of bodies. The event loop only passes things on.
"""

import asyncio
import functools
import hmac
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

import fastapi
import pydantic
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from roadmark.ops import annotate
from roadmark.serving import accept, inference_protocol, invocations, pictures
from roadmark.serving.gate import Gate
from roadmark.serving.inference_protocol import HEADER_LENGTH
from roadmark.serving.models import Found, Lease, Models, ServedModel
from roadmark.serving.options import ServeOptions
from roadmark.serving.refusal import RefusedError
from roadmark.serving.telemetry import METRICS_TYPE, Metrics
from roadmark.serving.urls import Fetcher

JSON = "application/json"
_BINARY = "application/octet-stream"
_PICTURES = (pictures.JPEG, pictures.PNG, pictures.ANY_PICTURE)
_ANSWERS = (JSON, pictures.JPEG, pictures.PNG)
# By which SageMaker names one of several models.
_TARGET_MODEL = "X-Amzn-SageMaker-Target-Model"
_CLIENT_IS_GONE = 499
_REFUSALS = {
    400: "The body or a picture is malformed.",
    401: "The bearer token is missing or wrong.",
    403: "Not allowed here.",
    404: "There is no such model.",
    406: "The Accept header asks for nothing that there is.",
    408: "The body came too slowly.",
    409: "The folder of the model is not whole.",
    413: "Too many bytes, pixels or pictures.",
    415: "The content type or encoding is not known.",
    424: "A URL cannot be fetched.",
    503: "Too much is waiting; Retry-After says when to try again.",
    504: "The model did not answer in time.",
}


class Problem(pydantic.BaseModel):
    """Why a request was not served."""

    error: str


def application(
    models: Models, options: ServeOptions, threads: Executor, fetcher: Fetcher, metrics: Metrics
) -> Gate:
    """The ASGI application.

    Args:
        models: What is served, loaded.
        options: The service's.
        threads: For reading and writing bodies.
        fetcher: For pictures that are named by URL.
        metrics: Where requests are counted.
    """
    app = FastAPI(
        title="Roadmark",
        summary="Finds objects in pictures of streets.",
        version="1",
        redoc_url=None,
    )
    gate = Gate(app, metrics)
    handlers = _Handlers(models, options, threads, fetcher, metrics, gate)
    for router in (handlers.open_routes(), handlers.guarded_routes()):
        app.include_router(router)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(Exception, _failed)
    return gate


class _Handlers:
    def __init__(
        self,
        models: Models,
        options: ServeOptions,
        threads: Executor,
        fetcher: Fetcher,
        metrics: Metrics,
        gate: Gate,
    ) -> None:
        self._models = models
        self._options = options
        self._threads = threads
        self._fetcher = fetcher
        self._metrics = metrics
        self._gate = gate

    def open_routes(self) -> fastapi.APIRouter:
        """What platforms ask that know no token: nothing but whether the service is well."""
        router = fastapi.APIRouter(tags=["health"])
        not_ready = _problems(503)
        router.get("/ping", responses=not_ready)(self.ping)
        router.get("/v2/health/live")(self.live)
        router.get("/v2/health/ready", responses=not_ready)(self.ping)
        return router

    def guarded_routes(self) -> fastapi.APIRouter:
        """What needs the token, where there is one."""
        guards = [Depends(_guard(self._options.token))] if self._options.token else []
        router = fastapi.APIRouter(dependencies=guards, responses=_problems(401))
        a_model = _problems(404)
        work = _problems(400, 403, 404, 408, 413, 415, 424, 503, 504)
        router.post(
            "/invocations",
            tags=["SageMaker"],
            response_model=invocations.Predictions,
            responses={
                200: {"content": {kind: {"schema": _FILE} for kind in _ANSWERS[1:]}},
                **work,
                **_problems(406),
            },
            openapi_extra=_body(invocations.Invocation, *_PICTURES),
        )(self.invocations)
        protocol = {"tags": ["open inference protocol"]}
        router.get("/v2", **protocol)(self.server_metadata)
        path = "/v2/models/{name}"
        router.get(path, responses=a_model, **protocol)(self.model_metadata)
        router.get(f"{path}/ready", responses=a_model, **protocol)(self.model_ready)
        router.post(
            f"{path}/infer",
            response_model=inference_protocol.InferResponse,
            responses=work,
            openapi_extra=_body(inference_protocol.InferRequest, _BINARY),
            **protocol,
        )(self.infer)
        router.post(
            "/v2/repository/models/{name}/load", responses=_problems(403, 404, 409), **protocol
        )(self.reload)
        as_text = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
        router.get("/metrics", tags=["health"], response_class=Response, responses=as_text)(
            self.show_metrics
        )
        return router

    async def ping(self) -> dict[str, str]:
        """Whether requests should come here."""
        if self._gate.is_draining:
            raise RefusedError(503, "the service is about to end")
        return {"status": "ready"}

    async def live(self) -> dict[str, str]:
        """Whether the process is well."""
        return {"status": "live"}

    async def invocations(
        self,
        request: Request,
        score_threshold: float | None = fastapi.Query(None, ge=0, le=1),
        model: str = fastapi.Header("", alias=_TARGET_MODEL),
    ) -> Response:
        """Finds objects in one picture, or in a batch of them."""
        answer_type = accept.choose(request.headers.get("accept", ""), _ANSWERS)
        name = model or self._models.names[0]
        with self._models.lease(name) as lease:
            request.state.model = name
            deadline = self._deadline()
            body = await self._body(request, deadline)
            content_type = _content_type(request)
            work = self._invoke(lease, content_type, body, score_threshold, answer_type, request)
            return await _in_time(work, deadline)

    async def _invoke(
        self,
        lease: Lease,
        content_type: str,
        body: bytes,
        score_threshold: float | None,
        answer_type: str,
        request: Request,
    ) -> Response:
        files = [body]
        if content_type == JSON:
            files, wanted = await self._named_pictures(lease, body)
            score_threshold = wanted if wanted is not None else score_threshold
        elif content_type not in _PICTURES:
            raise _unknown_type(content_type, (JSON, *_PICTURES))
        if answer_type != JSON and len(files) > 1:
            raise RefusedError(406, f"Accept: {answer_type} holds one picture, found {len(files)}")
        found = await self._detect(lease, files, score_threshold, request)
        write = functools.partial(_write_answer, lease.model, files, found, answer_type)
        content = await self._in_threads(write)
        return Response(content, media_type=answer_type)

    async def _named_pictures(self, lease: Lease, body: bytes) -> tuple[list[bytes], float | None]:
        invocation = await self._in_threads(functools.partial(invocations.parse, body))
        images = invocation.images
        lease.extend(len(images))
        urls = [one.url for one in images if one.url is not None]
        fetched = iter(await self._fetcher.fetch(urls))
        decoded = await self._in_threads(functools.partial(_decoded, images))
        files = [next(fetched) if one is None else one for one in decoded]
        return files, invocation.score_threshold

    async def server_metadata(self) -> dict[str, Any]:
        """What this service is."""
        return {
            "name": "roadmark",
            "version": "1",
            "extensions": ["binary_tensor_data", "model_repository"],
        }

    async def model_metadata(self, name: str) -> dict[str, Any]:
        """What a model takes and gives."""
        model = self._models.get(name)
        return inference_protocol.metadata(name, model.detector.engine.name)

    async def model_ready(self, name: str) -> dict[str, Any]:
        """Whether a model is loaded."""
        self._models.get(name)
        return {"name": name, "ready": True}

    async def infer(self, request: Request, name: str) -> Response:
        """Finds objects in a tensor of pictures."""
        with self._models.lease(name) as lease:
            request.state.model = name
            deadline = self._deadline()
            body = await self._body(request, deadline)
            return await _in_time(self._infer_body(lease, body, request), deadline)

    async def _infer_body(self, lease: Lease, body: bytes, request: Request) -> Response:
        length = request.headers.get(HEADER_LENGTH)
        content_type = _content_type(request)
        if content_type not in (JSON, _BINARY, ""):
            raise _unknown_type(content_type, (JSON, _BINARY))
        parse = functools.partial(inference_protocol.parse, body, length)
        wanted, batch = await self._in_threads(parse)
        lease.extend(len(batch))
        threshold = wanted.parameters.score_threshold
        found = await self._detect(lease, batch, threshold, request)
        write = functools.partial(inference_protocol.answer, wanted, lease.model.name, found)
        content, head = await self._in_threads(write)
        if head is None:
            return Response(content, media_type=JSON)
        return Response(content, media_type=_BINARY, headers={HEADER_LENGTH: str(head)})

    async def reload(self, name: str) -> dict[str, Any]:
        """Loads a model's folder again. Only where the service has a token."""
        if not self._options.token:
            problem = "reloading needs a service with a token; or send it SIGHUP"
            raise RefusedError(403, problem)
        model = await self._models.reload(name)
        return {"name": name, "weights": model.weights}

    async def show_metrics(self) -> Response:
        """What Prometheus reads."""
        return Response(self._metrics.text(), media_type=METRICS_TYPE)

    async def _detect(
        self, lease: Lease, batch: list, score_threshold: float | None, request: Request
    ) -> list[Found]:
        request.state.pictures = len(batch)
        if score_threshold is None:
            score_threshold = self._options.score_threshold
        return await lease.model.detect(batch, score_threshold)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._options.limits.time_s

    async def _in_threads(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _body(self, request: Request, deadline: float) -> bytes:
        limit = self._options.limits.body_bytes
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise RefusedError(415, f"Content-Encoding: found {encoding!r}, expected none")
        stated = request.headers.get("content-length", "")
        if stated.isdecimal() and int(stated) > limit:
            raise _too_large(stated, limit)
        try:
            async with asyncio.timeout_at(deadline):
                return await _read(request, limit)
        except TimeoutError:
            raise RefusedError(408, "the body came too slowly") from None
        except ClientDisconnect:
            raise RefusedError(_CLIENT_IS_GONE, "the client is gone") from None


_FILE = {"type": "string", "format": "binary"}


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(f"{len(body)} or more", limit)
    return bytes(body)


async def _in_time(work: Any, deadline: float) -> Response:
    try:
        async with asyncio.timeout_at(deadline):
            return await work
    except TimeoutError:
        raise RefusedError(504, "the model did not answer in time", retry_after_s=1) from None


def _decoded(images: list[invocations.EncodedPicture]) -> list[bytes | None]:
    return [
        None if one.base64 is None else invocations.from_base64(one.base64, f"images.{index}")
        for index, one in enumerate(images)
    ]


def _write_answer(
    model: ServedModel, files: list[bytes], found: list[Found], answer_type: str
) -> bytes:
    names = model.detector.label_map
    if answer_type == JSON:
        return JSONResponse(invocations.answer(model.name, names, found)).body
    # Decoded again: many large pictures at once would not fit into memory.
    image = pictures.decode(files[0], found[0].height * found[0].width)
    annotate.draw(image, found[0].detections, names)
    return pictures.encode(image, answer_type)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def _guard(token: str) -> Callable:
    scheme = fastapi.Security(HTTPBearer(auto_error=False))

    async def check(given: HTTPAuthorizationCredentials | None = scheme) -> None:
        shown = given.credentials if given else ""
        if not hmac.compare_digest(shown.encode(), token.encode()):
            raise RefusedError(401, "Authorization: expected 'Bearer' and the service's token")

    return check


def _unknown_type(found: str, known: tuple[str, ...]) -> RefusedError:
    return RefusedError(415, f"Content-Type: found {found!r}, expected {', '.join(known)}")


def _too_large(found: str, limit: int) -> RefusedError:
    return RefusedError(413, f"body: found {found} bytes, expected {limit} at most")


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem, "description": _REFUSALS[status]} for status in statuses}


def _body(kind: type[pydantic.BaseModel], *media_types: str) -> dict[str, Any]:
    """A request body for the OpenAPI page."""
    schema = kind.model_json_schema()
    inlined = _inlined(schema, schema.pop("$defs", {}))
    files = {media_type: {"schema": _FILE} for media_type in media_types}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": inlined}, **files}}}


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """A JSON schema with what it refers to in place."""
    if isinstance(node, list):
        return [_inlined(one, definitions) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions)
    return {key: _inlined(value, definitions) for key, value in node.items()}


async def _refused(request: Request, error: RefusedError) -> Response:
    request.state.error = error.problem
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": error.problem}, error.status, headers)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return await _refused(request, RefusedError(400, problem))


async def _http_problem(request: Request, error: HTTPException) -> Response:
    request.state.error = str(error.detail)
    return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    del error  # The gate logs it.
    request.state.error = "failed"
    return JSONResponse({"error": "the service failed; its log says how"}, 500)
