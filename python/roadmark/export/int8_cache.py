"""Networks in int8 as they were made before: to make one takes minutes to hours."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from roadmark import atomic, manifest

_RESULT = "result.json"
_KEPT = 20
_PACKAGES = ("nncf", "onnx", "onnxruntime", "onnxslim", "openvino", "tf2onnx")
# What makes the network; another release of it makes another.
_PROGRAM = (
    "conversion_process.py",
    "entropy_range.py",
    "quantisation_process.py",
    "signed_int8.py",
    "surgery/*.py",
)


def key(facts: Mapping[str, Any]) -> str:
    """By what a network in int8 is found again.

    Args:
        facts: All that it is made and judged by, as JSON takes it.
    """
    here = Path(__file__).parent
    program = [manifest.sha256(path) for name in _PROGRAM for path in sorted(here.glob(name))]
    versions = {name: metadata.version(name) for name in _PACKAGES}
    text = json.dumps([facts, program, versions], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def take(name: str, out: Path) -> dict[str, Any] | None:
    """Puts a network that was made before in its place.

    Args:
        name: Its `key`.
        out: Its file; others come with its stem.

    Returns:
        What was said about it when it was made; None where there is none, or it is not whole.
    """
    kept = _cache() / name
    try:
        result = json.loads((kept / _RESULT).read_text(encoding="utf-8"))
        found = {suffix: kept / f"network{suffix}" for suffix in result["files"]}
        if any(manifest.sha256(path) != result["files"][one] for one, path in found.items()):
            return None
        os.utime(kept)  # The oldest are removed.
        for suffix, path in found.items():
            shutil.copyfile(path, out.with_suffix(suffix))
    except (OSError, ValueError, KeyError):
        return None
    return result["said"]


def keep(name: str, out: Path, said: dict[str, Any]) -> None:
    """Keeps a network for `take`; a cache that cannot be written is done without."""
    files = {path.suffix: path for path in out.parent.glob(f"{out.stem}.*")}
    result = {"files": {one: manifest.sha256(path) for one, path in files.items()}, "said": said}
    with contextlib.suppress(OSError):
        with atomic.atomic_folder(_cache() / name) as folder:
            for suffix, path in files.items():
                shutil.copyfile(path, folder / f"network{suffix}")
            (folder / _RESULT).write_text(json.dumps(result), encoding="utf-8")
        kept = [path for path in _cache().iterdir() if not path.name.startswith(".")]
        for old in sorted(kept, key=lambda one: one.stat().st_mtime, reverse=True)[_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "roadmark/int8"
