"""Measures what Roadmark does beside what a user could pick instead, in one run.

    bazel run //python:benchmark -- ops
    bazel run //python:benchmark -- ops --quick --json=ops.json --markdown=ops.md
    bazel run //python:benchmark -- video
    bazel run //python:benchmark -- video --model=runs/demo/export

ops: the operations around a network (post-processing, NMS, pre-processing, target assignment, box
coding, drawing) against the OD API, TensorFlow, OpenCV, torchvision and supervision.

video: the pipeline of `infer` against what limits it (a sleeping engine, the processors), against
ffmpeg, and against the tutorials' loop of OpenCV, stock SavedModel and the OD API's drawing.
Without --model it makes an SSD MobileNet V2 FPNLite 640 and an EfficientDet-D0 with random weights,
and keeps them under runs/bench.

evaluate: COCO metrics of 5,000 pictures against pycocotools.

Each side runs in a process of its own, bound to as many processors as it has threads; samples of
both sides alternate, and medians are compared. Before it is timed, a peer's result is compared with
ours. The first run fetches the peers' environment (several GB). docs/benchmark.md tells the rest.
"""

import importlib
import sys
from pathlib import Path

from absl import flags

from roadmark import app, atomic
from roadmark.errors import UserError

_SUITES = ("ops", "video", "evaluate")
_HERE = Path(__file__).parent
# Where the target's data lie beside this program.
_PEERS_PYTHON = _HERE.parent.parent / "python_peers" / "python"
_CONFIGS = _HERE.parent / "configs"

_JSON = flags.DEFINE_string("json", None, "File for the figures.")
_MARKDOWN = flags.DEFINE_string("markdown", None, "File for a page like those in docs/results.")
_QUICK = flags.DEFINE_bool("quick", False, "Fewer samples.")
_THREADS = flags.DEFINE_list("threads", ["1", "2"], "Numbers of threads, each measured apart.")
_ONLY = flags.DEFINE_list("only", [], "Only operations whose name contains one of these.")
_MODEL = flags.DEFINE_string("model", None, "video: exported folder; else two are made.")
_PEERS = flags.DEFINE_string(
    "peers_python", str(_PEERS_PYTHON), "Python of an environment made from peers.lock."
)


def main(suite: str) -> int:
    """Runs the command; see the module's text."""
    from rich.console import Console

    from roadmark.benchmark import report, timing
    from roadmark.benchmark.suite import Options

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    options = Options(
        effort=timing.QUICK if _QUICK.value else timing.THOROUGH,
        threads=tuple(map(_number, _THREADS.value)),
        only=tuple(_ONLY.value),
        peers_python=Path(_PEERS.value),
        configs=_CONFIGS,
        model=Path(_MODEL.value) if _MODEL.value else None,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    found = importlib.import_module(f"roadmark.benchmark.{suite}").run(options)
    console.print(report.to_table(found))
    console.print(report.verdict(found))
    command = f"bazel run //python:benchmark -- {' '.join(sys.argv[1:])}"
    for flag, text in (
        (_JSON, report.to_json(found)),
        (_MARKDOWN, report.to_markdown(found, command)),
    ):
        if flag.value:
            atomic.write_text(flag.value, text)
            console.print(f"{flag.name}: {flag.value}")
    return 1 if found.failures else 0


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UserError("--threads", f"found {text!r}", "give numbers of 1 or more, as 1,2")
    return int(text)


if __name__ == "__main__":
    app.run(main, _SUITES)
