"""Models as OpenVINO has compiled them for this machine, kept for the next start."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import openvino as ov

from roadmark import atomic, locations

_DEVICE = "CPU"
_KEPT = 20


def load(
    core: ov.Core,
    folder: Path,
    options: Mapping[str, Any],
    compile_model: Callable[[], ov.CompiledModel],
) -> ov.CompiledModel:
    """Takes a model from the user's cache, or compiles it and puts it there.

    The cache is `roadmark/openvino` under `XDG_CACHE_HOME` or `~/.cache`; the last 20 models stay.
    What is in it holds for one manifest (which lists the SHA-256 of every file), version of
    OpenVINO, processor and set of options. What cannot be read or written does without.

    Args:
        core: OpenVINO.
        folder: As `roadmark.export` writes it.
        options: That the model is compiled with.
        compile_model: Compiles it.
    """
    description = folder / locations.MANIFEST
    if not description.is_file():
        return compile_model()
    path = _cache() / f"{_key(core, description, options)}.blob"
    found = _read(path)
    if found is not None:
        with contextlib.suppress(RuntimeError):  # Another build of OpenVINO has made it.
            return core.import_model(found, _DEVICE, dict(options))
    model = compile_model()
    with contextlib.suppress(RuntimeError):  # Not every model can be exported.
        _write(path, model.export_model().getvalue())
    return model


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "roadmark/openvino"


def _key(core: ov.Core, description: Path, options: Mapping[str, Any]) -> str:
    facts = (
        hashlib.sha256(description.read_bytes()).hexdigest(),
        ov.get_version(),
        core.get_property(_DEVICE, "FULL_DEVICE_NAME"),
        sorted(core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")),
        len(os.sched_getaffinity(0)),
        dict(options),
    )
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _read(path: Path) -> bytes | None:
    """The content, if it is as it was written."""
    try:
        content = path.read_bytes()
        os.utime(path)  # The oldest are removed.
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    checksum, blob = content[:size], content[size:]
    # OpenVINO itself takes a blob whose weights are altered.
    return blob if hashlib.sha256(blob).digest() == checksum else None


def _write(path: Path, blob: bytes) -> None:
    try:
        with atomic.atomic_path(path) as temporary:
            temporary.write_bytes(hashlib.sha256(blob).digest() + blob)
        kept = sorted(path.parent.glob("*.blob"), key=lambda one: one.stat().st_mtime, reverse=True)
        for old in kept[_KEPT:]:
            old.unlink(missing_ok=True)
    except OSError:
        return
