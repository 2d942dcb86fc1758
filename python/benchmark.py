"""Measures what Roadmark does beside what a user could pick instead, in one run.

    bazel run //python:benchmark -- ops --quick --json=ops.json --markdown=ops.md
    bazel run //python:benchmark -- video --model=runs/demo/export
    bazel run //python:benchmark -- latency --model=runs/demo/export --records=data/records/val-*

ops: the operations around a network (post-processing, NMS, pre-processing, target assignment, box
coding, drawing) against the OD API, TensorFlow, OpenCV, torchvision and supervision.

video: the pipeline of `infer` against what limits it (a sleeping engine, the processors), against
ffmpeg, and against the tutorials' loop of OpenCV, stock SavedModel and the OD API's drawing.
Without --model it takes an SSD MobileNet V2 FPNLite 640 and an EfficientDet-D0 from
runs/bench/NAME/export: trained ones if somebody put them there, else made with random weights.

evaluate: COCO metrics of 5,000 pictures against pycocotools. cluster: what Ray adds to a file.

train: a training step against that of the stock model_main_tf2.py, its parts (input, forward,
target assignment, loss, backward, optimiser), the bound that they leave, and the time to the first.

latency: exported models on every engine, from a picture to boxes, split into parts, with accuracy
(--records) and MLPerf's kinds of load, against the stock SavedModel. Without --model it makes an
SSD MobileNet V2 FPNLite 640, an SSD ResNet50 FPN 640 and an EfficientDet-D1 with random weights.

serve: the HTTP service against its engine alone; p99 at 70% load, reloads, a drain, memory.

Sides run in processes of their own and take turns; medians are compared, and results before that.
The first run fetches the peers' environment (several GB). docs/benchmark.md tells the rest.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

from absl import flags

from roadmark import app, atomic
from roadmark.errors import UserError
from roadmark.storage import path_flags

_LATENCY = "latency"
_SUITES = ("ops", "video", "evaluate", "train", _LATENCY, "serve", "cluster")
_HERE = Path(__file__).parent
# Where the target's data lie beside this program.
_PEERS_PYTHON = _HERE.parent.parent / "python_peers" / "python"
_CONFIGS = _HERE.parent / "configs"

_JSON = path_flags.define_output("json", None, "File for the figures.")
_MARKDOWN = path_flags.define_output("markdown", None, "File for a page like docs/results has.")
_QUICK = flags.DEFINE_bool("quick", False, "Fewer samples.")
_THREADS = flags.DEFINE_list("threads", ["1", "2"], "Numbers of threads, each measured apart.")
_ONLY = flags.DEFINE_list("only", [], "Only operations whose name contains one of these.")
_MODEL = path_flags.define_input_list("model", [], "Not for ops: exported folders; else made.")
_ENGINES = flags.DEFINE_list("engines", [], "latency: only these; else all that work.")
_PRECISIONS = flags.DEFINE_list("precisions", [], "latency: only these; else all that work.")
_RESOLUTIONS = flags.DEFINE_list("resolutions", [], "latency: sides of the input, as 320,512x640.")
_BATCHES = flags.DEFINE_list("batch_sizes", ["1"], "latency: pictures in a call.")
_RECORDS = path_flags.define_input("records", "", "latency: glob of TFRecords to measure mAP on.")
_SUBSET = flags.DEFINE_integer("eval_subset", 0, "latency: how many of them; 0 for all.", 0)
_SCENARIOS = flags.DEFINE_bool("scenarios", True, "latency: MLPerf's kinds of load too.")
_WITH_PEERS = flags.DEFINE_bool("peers", True, "latency: the stock SavedModel and others too.")
_TRUST = flags.DEFINE_bool("trust", False, "latency: as of infer.")
_CSV = path_flags.define_output("csv", None, "latency: file for the cases.")
_HTML = path_flags.define_output("html", None, "latency: file for a page.")
_AGAINST = path_flags.define_input("against", None, "latency: JSON of another run to compare with.")
_PEERS = flags.DEFINE_string(
    "peers_python", str(_PEERS_PYTHON), "Python of an environment made from peers.lock."
)


def main(suite: str) -> int:
    """Runs the command; see the module's text."""
    from rich.console import Console

    from roadmark.benchmark import report, resized_models, timing
    from roadmark.benchmark.suite import Grid, Options

    models = tuple(map(Path, _MODEL.value))
    if suite != _LATENCY:
        _refuse_flags_of_latency()
    elif _AGAINST.value:
        _read(_AGAINST.value)  # Before the work of half an hour, and not behind it.

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    options = Options(
        effort=timing.QUICK if _QUICK.value else timing.THOROUGH,
        threads=tuple(_number("--threads", text) for text in _THREADS.value),
        only=tuple(_ONLY.value),
        peers_python=Path(_PEERS.value),
        configs=_CONFIGS,
        model=models[0] if models else None,
        say=lambda line: print(line, file=sys.stderr, flush=True),
        grid=Grid(
            models,
            tuple(_ENGINES.value),
            tuple(_PRECISIONS.value),
            tuple(_number("--batch_sizes", text) for text in _BATCHES.value),
            _RECORDS.value,
            _SUBSET.value,
            _SCENARIOS.value,
            _WITH_PEERS.value,
            _TRUST.value,
            tuple(map(resized_models.parsed, _RESOLUTIONS.value)),
        ),
    )
    found = importlib.import_module(f"roadmark.benchmark.{suite}").run(options)
    console.print(report.to_table(found))
    console.print(report.verdict(found))
    command = f"bazel run //python:benchmark -- {' '.join(sys.argv[1:])}"
    texts = [(_JSON, report.to_json(found)), (_MARKDOWN, report.to_markdown(found, command))]
    if suite == _LATENCY:
        from roadmark.benchmark import latency_report

        latency_report.show(found, _AGAINST.value and _read(_AGAINST.value))
        texts = [
            (_JSON, latency_report.to_json(found)),
            (_MARKDOWN, latency_report.to_markdown(found, command)),
            (_CSV, latency_report.to_csv(found)),
            (_HTML, latency_report.to_html(found, command)),
        ]
    for flag, text in texts:
        if flag.value:
            atomic.write_text(flag.value, text)
            console.print(f"{flag.name}: {flag.value}")
    return 1 if found.failures else 0


def _read(path: str) -> Any:
    from roadmark.benchmark import latency_report

    return latency_report.read(path)


def _refuse_flags_of_latency() -> None:
    only = (_ENGINES, _PRECISIONS, _RESOLUTIONS, _RECORDS, _TRUST, _CSV, _HTML, _AGAINST)
    for flag in only:
        if flag.value:
            raise UserError(f"--{flag.name}", "belongs to latency alone", "leave it out")
    if len(_MODEL.value) > 1:
        raise UserError("--model", "found several, which latency alone takes", "give one")


def _number(flag: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UserError(flag, f"found {text!r}", "give numbers of 1 or more, as 1,2")
    return int(text)


if __name__ == "__main__":
    app.run(main, _SUITES)
