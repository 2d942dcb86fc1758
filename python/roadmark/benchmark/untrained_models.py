"""Exports to measure with where the user names no model; made once, with random weights."""

from collections.abc import Callable, Iterable
from pathlib import Path

from roadmark import locations, manifest
from roadmark.benchmark.contender import Contender
from roadmark.errors import UserError

_EXPORTING = "roadmark.benchmark.contenders.untrained:exporting"
_FORMATS = ("saved_model", "onnx", "openvino")


def make(
    cache: Path, configs: Path, names: Iterable[str], threads: int, say: Callable[[str], None]
) -> list[Path]:
    """Exports models of configs with random weights, for all engines of a CPU.

    Args:
        cache: Where they are kept; one that is there already is used again, and so is what somebody
            has trained and exported to the same place: `<cache>/<name>/export`.
        configs: The folder with the pipeline configs.
        names: Of the configs.
        threads: Of the process that makes them.
        say: Takes a line about what is going on.

    Returns:
        The exported folders.
    """
    folders = []
    for name in names:
        folder = locations.export_dir(cache / name)
        if _is_trained(folder):
            say(f"{folder}: trained, so no other weights are made")
        elif _is_whole(folder):
            say(f"{folder}: random weights, made by an earlier run")
        else:
            say(f"{folder}: making an export with random weights, which takes minutes")
            export(configs / f"{name}.config", folder, threads)
        folders.append(folder)
    return folders


def export(config: Path, folder: Path, threads: int) -> None:
    """Exports the model of a pipeline config with random weights, for all engines of a CPU.

    Args:
        config: The config.
        folder: The folder to write.
        threads: Of the process that does it.

    Raises:
        RuntimeError: It failed; its own words.
    """
    side = Contender(None, threads)
    options = {"config": str(config), "out": str(folder), "formats": _FORMATS}
    try:
        side.prepare(_EXPORTING, config.parent, options)
        side.result()
    finally:
        side.close()


def _is_trained(folder: Path) -> bool:
    return manifest.is_export(folder) and manifest.load(folder).step > 0


def _is_whole(folder: Path) -> bool:
    """Whether it has all formats; folders of earlier releases have SavedModels alone."""
    try:
        found = {stamp.path.split("/")[0] for stamp in manifest.load(folder).engines}
    except UserError:
        return False
    return set(_FORMATS) - {"saved_model"} <= found
