"""Serves exported models over HTTP.

    bazel run //python:serve -- --model=runs/demo/export
    bazel run //python:serve -- --model=day=runs/day/export --model=night=runs/night/export
    curl --data-binary @street.jpg -H 'Content-Type: image/jpeg' localhost:8080/invocations

GET /ping and POST /invocations are those of a SageMaker endpoint: a picture, or JSON with several,
is answered by JSON, or by the picture with what was found drawn on it (Accept: image/jpeg). /v2/...
is the open inference protocol of KServe and Triton. /docs shows all paths, /metrics is for
Prometheus, and the log has one line of JSON per request.

The model is an exported folder, by default the newest under runs/; the first one answers where a
request names none. SIGTERM drains, SIGHUP loads the models again. A bearer token comes from
--token_file or the variable ROADMARK_TOKEN. docs/serve.md tells the rest.
"""

from absl import flags

from roadmark import app
from roadmark.storage import path_flags

_MODEL = path_flags.define_inputs("model", [], "FOLDER or NAME=FOLDER; give it once per model.")
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 for all.")
_PORT = flags.DEFINE_integer("port", 8080, "Port to listen on; 0 for any.", 0, 65535)
_ENGINE = flags.DEFINE_string("engine", "auto", "Or tensorflow, onnxruntime, openvino, tensorrt.")
_DEVICE = flags.DEFINE_string("device", "auto", "cpu, gpu, or auto for a GPU where there is one.")
_PRECISION = flags.DEFINE_string("precision", "exported", "fp32, bf16, int8, auto, or exported.")
_TRUST = flags.DEFINE_bool("trust", False, "Run TensorRT engines that the export does not list.")
_THREADS = flags.DEFINE_integer("threads", 0, "Processor threads of the model; 0 for all.", 0)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Pictures per run of the model, at most.", 1)
_DELAY_MS = flags.DEFINE_float(
    "delay_ms", 2, "How long a picture waits for others while the model has nothing to do.", 0
)
_SCORE_THRESHOLD = flags.DEFINE_float(
    "score_threshold", 0.4, "Leave out objects with this score or less.", 0.0, 1.0
)
_QUEUE = flags.DEFINE_integer("queue", 64, "Unanswered pictures per model; then 503.", 1)
_MAX_MB = flags.DEFINE_float("max_mb", 25, "Largest body of a request, in megabytes.", 0.001)
_MAX_MEGAPIXELS = flags.DEFINE_float("max_megapixels", 50, "Largest picture.", 0.001)
_TIMEOUT_S = flags.DEFINE_float("timeout_s", 30, "Seconds until a request is given up.", 0.1)
_ALLOW_URLS = flags.DEFINE_list(
    "allow_urls", [], "Beginnings of URLs that requests may name, as https://HOST/PATH/."
)
_TOKEN_FILE = path_flags.define_input("token_file", None, "File with the token that clients show.")
_DRAIN_S = flags.DEFINE_float("drain_s", 5, "Seconds of further requests after SIGTERM.", 0)


def main() -> int:
    """Runs the command; see the module's text."""
    from roadmark.serving import options, server

    limits = options.Limits(
        body_bytes=int(_MAX_MB.value * 1e6),
        pixels=int(_MAX_MEGAPIXELS.value * 1e6),
        pictures=_QUEUE.value,
        time_s=_TIMEOUT_S.value,
    )
    wanted = options.ServeOptions(
        host=_HOST.value,
        port=_PORT.value,
        engine=_ENGINE.value,
        device=_DEVICE.value,
        precision=_PRECISION.value,
        trust=_TRUST.value,
        threads=_THREADS.value,
        batch_size=_BATCH_SIZE.value,
        delay_s=_DELAY_MS.value / 1e3,
        score_threshold=_SCORE_THRESHOLD.value,
        limits=limits,
        allowed_urls=tuple(_ALLOW_URLS.value),
        token=options.token(_TOKEN_FILE.value),
        drain_s=_DRAIN_S.value,
    )
    server.run(options.models(_MODEL.value), wanted, path_flags.refresh)
    return 0


if __name__ == "__main__":
    app.run(main)
