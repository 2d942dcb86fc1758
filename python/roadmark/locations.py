"""Where things are when no flag says otherwise (docs/design.md, section 4).

All paths are relative to the folder that the user runs a command in.
"""

import os
from pathlib import Path

from roadmark.errors import UserError

RECORDS = Path("data/records")
TRAIN_RECORDS = str(RECORDS / "train-*")
EVAL_RECORDS = str(RECORDS / "val-*")
LABEL_MAP = RECORDS / "label_map.pbtxt"
CLASS_SET = Path("data/cars")
RUNS = Path("runs")
MANIFEST = "manifest.json"


def model_dir(config: str | Path) -> Path:
    """The run folder of a pipeline config: `runs/<config name>`."""
    return RUNS / Path(config).name.removesuffix(".config")


def export_dir(run: str | Path) -> Path:
    """Where a run's export goes: `<run>/export`."""
    return Path(run) / "export"


def remote_cache() -> Path:
    """Where local copies of what is in buckets are: `ROADMARK_CACHE`, or in the user's cache."""
    given = os.environ.get("ROADMARK_CACHE")
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "roadmark/remote"


def newest_export(runs: str | Path = RUNS) -> Path:
    """The export folder under `runs` whose manifest was written last.

    Raises:
        UserError: There is none.
    """
    manifests = [path for path in Path(runs).glob(f"*/export/{MANIFEST}") if path.is_file()]
    if not manifests:
        raise UserError(
            f"{runs}/*/export",
            "no exported model here",
            "make one with: bazel run //python:demo",
        )
    return max(manifests, key=lambda path: path.stat().st_mtime_ns).parent
