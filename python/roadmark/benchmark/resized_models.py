"""Exports of a model for other sizes of its input, with the same weights; made once."""

import copy
import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from roadmark import locations, manifest
from roadmark.benchmark import untrained_models
from roadmark.benchmark.contender import Contender
from roadmark.errors import UserError
from roadmark.manifest import Manifest
from roadmark.odapi import checkpoints, input_sides, pipeline_config

_FLAG = "--resolutions"
_EXPORTING = "roadmark.benchmark.contenders.trained:exporting"
# Of `export`, those with files of their own that are measured.
_FORMATS = ("onnx", "openvino")

Size = tuple[int, int]
"""Height and width of a network's input."""


@dataclasses.dataclass(frozen=True)
class Model:
    """An exported model.

    Attributes:
        name: Of its run.
        folder: The export.
        description: Its manifest.
        is_untrained: Whether `untrained_models` made it, so that random weights will do.
    """

    name: str
    folder: Path
    description: Manifest
    is_untrained: bool

    @property
    def config(self) -> Path:
        """The model's pipeline config."""
        return self.folder / "pipeline.config"

    @property
    def formats(self) -> tuple[str, ...]:
        """Of the export, as `exporter.export` takes them."""
        return _formats(self.description)

    def has(self, size: Size) -> bool:
        """Whether it is of that size itself."""
        return size == (self.description.input.height, self.description.input.width)


def parsed(text: str) -> Size:
    """A size as the user writes it: `512`, or height and width as `320x512`.

    Raises:
        UserError: It is none.
    """
    sides = text.split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise UserError(_FLAG, f"found {text!r}", "give sides as 320,512, or heights x widths")
    return int(sides[0]), int(sides[-1])


def shown(size: Size) -> str:
    """A size as `parsed` takes it."""
    height, width = size
    return str(height) if height == width else f"{height}x{width}"


def refuse_unfit(config: Path, sizes: Iterable[Size]) -> None:
    """Raises UserError for a size that the model of a pipeline config does not take."""
    loaded = pipeline_config.load(config)
    for size in sizes:
        _resized(loaded, size, config)


def check(model: Model, sizes: Iterable[Size]) -> None:
    """Refuses what `make` cannot make, before the work of minutes.

    Raises:
        UserError: The model does not take a size, or its weights are not there.
    """
    others = [size for size in sizes if not model.has(size)]
    if others:
        refuse_unfit(model.config, others)
    if others and not model.is_untrained:
        _checkpoint(model)


def make(model: Model, size: Size, cache: Path, threads: int, say: Callable[[str], None]) -> Path:
    """Exports a model for a size of its input, in the formats that its export has in fp32.

    Args:
        model: The model.
        size: The size.
        cache: Where exports are kept, in `<cache>/<name>_at_<size>/export`; one that is there, of
            the same config and weights, is used again.
        threads: Of the process that makes it.
        say: Takes a line about what is going on.

    Returns:
        The exported folder: the model's own where that has this size.

    Raises:
        UserError: As `check`, or the checkpoint is not the one that was exported.
        RuntimeError: The export failed; its own words.
    """
    if model.has(size):
        return model.folder
    name = f"{model.name}_at_{shown(size)}"
    out, config = locations.export_dir(cache / name), cache / name / f"{name}.config"
    config.parent.mkdir(parents=True, exist_ok=True)
    pipeline_config.save(_resized(pipeline_config.load(model.config), size, model.config), config)
    if _is_current(out, model, config):
        say(f"{out}: made by an earlier run")
        return out
    say(f"{out}: making an export, which takes minutes")
    if model.is_untrained:
        untrained_models.export(config, out, threads)
    else:
        _export(model, config, out, threads)
    return out


def _resized(config: Any, size: Size, where: Path) -> Any:
    """A copy of a `TrainEvalPipelineConfig` with another size of the input."""
    changed = copy.deepcopy(config)
    resizer = pipeline_config.architecture(changed).image_resizer
    kind = resizer.WhichOneof("image_resizer_oneof")
    height, width = size
    if kind == "fixed_shape_resizer":
        chosen = resizer.fixed_shape_resizer
        chosen.height, chosen.width = size
    elif kind == "keep_aspect_ratio_resizer" and height == width:
        chosen = resizer.keep_aspect_ratio_resizer
        chosen.min_dimension = round(height * chosen.min_dimension / chosen.max_dimension)
        chosen.max_dimension = height
    else:
        problem = f"found {shown(size)}, which the {kind} of {where} cannot give"
        raise UserError(_FLAG, problem, "give one side, as 512")
    try:
        input_sides.check(changed, str(where))
    except UserError as error:
        raise UserError(_FLAG, f"{where}: {error.problem}", "give another size") from None
    return changed


def _checkpoint(model: Model) -> Path:
    """Where the weights of an export come from: beside it, in its run."""
    run = model.folder.absolute().parent
    prefix = checkpoints.folder(run) / f"ckpt-{model.description.step}"
    if prefix not in checkpoints.complete(run):
        raise UserError(
            prefix,
            f"not found, expected the checkpoint of {model.folder}, to export it in other sizes",
            f"put it there, or leave out {_FLAG} and give exports of these sizes as --model",
        )
    return prefix


def _export(model: Model, config: Path, out: Path, threads: int) -> None:
    prefix = _checkpoint(model)
    side = Contender(None, threads)
    options = {
        "config": str(config),
        "checkpoint": str(prefix),
        "label_map": str(model.folder / "label_map.pbtxt"),
        "out": str(out),
        "formats": model.formats,
    }
    try:
        side.prepare(_EXPORTING, config.parent, options)
        side.result()
    finally:
        side.close()
    if not _is_current(out, model, config):
        problem = f"found other weights than those of {model.folder}"
        raise UserError(prefix, problem, "export the run again")


def _is_current(out: Path, model: Model, config: Path) -> bool:
    try:
        made = manifest.load(out)
    except UserError:
        return False
    is_of_weights = made.weights_sha256 == model.description.weights_sha256
    return (
        made.config_sha256 == manifest.sha256(config)
        and (model.is_untrained or is_of_weights)
        and model.formats == _formats(made)
    )


def _formats(description: Manifest) -> tuple[str, ...]:
    folders = {stamp.path.split("/")[0] for stamp in description.engines}
    return tuple(name for name in _FORMATS if name in folders)
