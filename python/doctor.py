"""Tells what this machine has, what is missing for which feature, and how to get it.

  bazel run //python:doctor
  bazel run //python:doctor -- --json

One screen: versions, instruction sets, GPUs, whether the OD API opens on this TensorFlow, whether
videos can be written, and the tools beside the locked packages that single features need.
Paste it (or the JSON) into a bug report. Exit code 0, also when optional things are missing; 1 when
prepare, train, evaluate, export or infer cannot work.
"""

import sys

from absl import flags

from roadmark import app

_PLAIN_WIDTH = 100
_JSON = flags.DEFINE_bool("json", False, "Print JSON.")


def main() -> int:
    """Runs the command; see the module's text."""
    from rich.console import Console

    from roadmark.doctor import report

    found = report.examine()
    if _JSON.value:
        print(report.as_json(found))
    else:
        terminal = sys.stdout.isatty()
        report.show(found, Console(highlight=False, width=None if terminal else _PLAIN_WIDTH))
    return 0 if found.healthy else 1


if __name__ == "__main__":
    app.run(main)
