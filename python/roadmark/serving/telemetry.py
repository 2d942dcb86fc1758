"""What the service tells about itself: Prometheus metrics, and a log of JSON lines."""

import datetime
import json
import logging
import sys
import traceback
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LOGGER = "roadmark.serving"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one service, apart from those of any other in the process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "roadmark_requests",
            "Requests answered.",
            ("method", "path", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "roadmark_request_seconds",
            "From the head of a request to the end of its answer.",
            ("path",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_progress = Gauge(
            "roadmark_requests_in_progress", "Requests not yet answered.", registry=registry
        )
        self.admitted = Gauge(
            "roadmark_pictures_admitted",
            "Pictures of requests not yet answered.",
            ("model",),
            registry=registry,
        )
        self.batch_size = Histogram(
            "roadmark_batch_pictures",
            "Pictures in a batch.",
            ("model",),
            buckets=_BATCHES,
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "roadmark_batch_seconds",
            "From the submission of a batch to its detections.",
            ("model",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.reloads = Counter(
            "roadmark_reloads",
            "Models loaded again, or refused.",
            ("model", "result"),
            registry=registry,
        )
        self.model = Gauge(
            "roadmark_model_info",
            "1 for what is served at the moment.",
            ("model", "engine", "weights"),
            registry=registry,
        )

    def on_batch(self, model: str, pictures: int, seconds: float) -> None:
        """Counts a batch."""
        self.batch_size.labels(model).observe(pictures)
        self.batch_seconds.labels(model).observe(seconds)

    def text(self) -> bytes:
        """What Prometheus reads."""
        return generate_latest(self.registry)


def log(event: str, level: int = logging.INFO, **facts: Any) -> None:
    """Writes one line, if `start_log` was called.

    Args:
        event: What happened.
        level: As in `logging`.
        facts: Of types that JSON knows.
    """
    logging.getLogger(_LOGGER).log(level, event, extra={"facts": facts})


def log_failure(event: str, error: BaseException, **facts: Any) -> None:
    """Writes one line about a bug of ours, with its traceback."""
    trace = "".join(traceback.format_exception(error))
    log(event, logging.ERROR, error=f"{type(error).__name__}: {error}", traceback=trace, **facts)


def start_log() -> None:
    """Has this package and uvicorn write JSON lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    for name, level in ((_LOGGER, logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
