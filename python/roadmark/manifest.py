"""`manifest.json`: what an exported folder holds and how its model is fed and read.

Whoever loads an exported folder learns everything from its manifest: how a picture becomes the
network's input, what each output means, how boxes are decoded and suppressed, and the SHA-256 of
every file. A folder with an altered, missing or unlisted file is refused.
"""

import dataclasses
import hashlib
import json
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadmark import atomic, locations
from roadmark.errors import UserError

SCHEMA_VERSION = 1

FIXED_SHAPE = "fixed_shape"
KEEP_ASPECT_RATIO = "keep_aspect_ratio"
ONE_STAGE = "one_stage"
TWO_STAGE = "two_stage"
PER_CLASS = "per_class"
CLASS_AGNOSTIC = "class_agnostic"
SIGMOID = "sigmoid"
SOFTMAX = "softmax"

_EXPORT_AGAIN = "export the model again with: bazel run //python:export -- --model_dir=RUN"
_TRUST = (
    "an engine is code: remove it and build one with export --engines_of=FOLDER "
    "--format=tensorrt, or load it all the same with --trust"
)
# In what a TensorRT engine was built for: nobody knows, the user vouches for it.
TRUSTED = "trusted"
_ENGINE = re.compile(r"tensorrt/model_([a-z0-9]+)\.engine")
_CHUNK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """How a picture becomes one row of the network's input batch.

    The picture is resized (bilinear, sampled at `output index * in / out` without half-pixel
    centres), each channel becomes `(value - mean) * scale`, and what is missing to the full size
    at the bottom and on the right is filled with `pad_value`.

    Attributes:
        name: The graph's argument.
        height: Rows of the network's input.
        width: Columns of the network's input.
        resize: `fixed_shape` (each side to its size) or `keep_aspect_ratio` (shorter side to
            `min_dimension` unless the longer one then passes `max_dimension`; then padded).
        min_dimension: For `keep_aspect_ratio`; else 0.
        max_dimension: For `keep_aspect_ratio`; else 0.
        mean: Per channel, in pixel values of 0 to 255.
        scale: Per channel.
        pad_value: Per channel, in the network's input values (after mean and scale).
        channel_order: `RGB`.
        layout: `NHWC`.
        dtype: `float32`.
        true_shapes_name: The graph's second argument, int32 `[batch, 3]` with the height, width
            and channels of each picture inside the padding, or empty when it takes none.
    """

    name: str
    height: int
    width: int
    resize: str
    min_dimension: int
    max_dimension: int
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    pad_value: tuple[float, float, float]
    channel_order: str
    layout: str
    dtype: str
    true_shapes_name: str


@dataclasses.dataclass(frozen=True)
class OutputSpec:
    """One output of the raw graph.

    Attributes:
        name: Its key.
        meaning: One sentence.
        shape: Sizes, -1 where free; the first is the batch.
        dtype: NumPy's name.
    """

    name: str
    meaning: str
    shape: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class BoxCoderSpec:
    """How box encodings relate to anchors or proposals.

    Attributes:
        kind: `faster_rcnn`: (ty, tx, th, tw) as in https://arxiv.org/abs/1506.01497.
        scale_factors: What the encodings of y, x, height and width were multiplied by.
    """

    kind: str
    scale_factors: tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class NmsSpec:
    """Non-maximum suppression, as the OD API's `batch_non_max_suppression`.

    Attributes:
        mode: `per_class` or `class_agnostic` (best class of each box only).
        score_threshold: Boxes with this score or less are dropped.
        iou_threshold: Boxes that overlap a better one by more than this are dropped.
        max_per_class: Limit per class (unused when class-agnostic).
        max_total: Limit per picture.
        soft_nms_sigma: Gaussian soft-NMS of https://arxiv.org/abs/1704.04503; 0 is hard NMS.
    """

    mode: str
    score_threshold: float
    iou_threshold: float
    max_per_class: int
    max_total: int
    soft_nms_sigma: float


@dataclasses.dataclass(frozen=True)
class PostprocessSpec:
    """How the raw outputs become detections.

    Attributes:
        architecture: `one_stage` (anchors in `anchors.npy`, normalised to the network's input)
            or `two_stage` (the output `proposals`, in pixels of the network's input).
        box_coder: See `BoxCoderSpec`.
        background_column: Whether column 0 of the class logits is the background.
        score_converter: `sigmoid` or `softmax`.
        logit_scale: Logits are divided by this before the conversion.
        nms: See `NmsSpec`.
        mask_threshold: Mask probability above which a pixel belongs to the object.
    """

    architecture: str
    box_coder: BoxCoderSpec
    background_column: bool
    score_converter: str
    logit_scale: float
    nms: NmsSpec
    mask_threshold: float


@dataclasses.dataclass(frozen=True)
class EngineStamp:
    """An engine that runs the folder with the stock model's results, and what it was built for.

    Attributes:
        engine: Such as `tensorflow`.
        path: File or folder inside the exported folder.
        precision: Such as `fp32`.
        built_for: Further facts that must hold where it is loaded, by name.
        making: What making the file took, by name. Older manifests have none.
    """

    engine: str
    path: str
    precision: str
    built_for: Mapping[str, str]
    making: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Everything about an exported folder but the SHA-256 of its files, which `write` adds.

    Attributes:
        model: Name of the run folder that the model came from, or of the config without a run.
        input: See `InputSpec`.
        outputs: See `OutputSpec`.
        postprocess: See `PostprocessSpec`.
        label_map: Class name by id (1 and up, as text because JSON keys are).
        config_sha256: Of `pipeline.config`.
        weights_sha256: Of every variable's name (without Keras's counters) and bytes, in the order
            of the names.
        step: Training step of the checkpoint.
        engines: See `EngineStamp`.
    """

    model: str
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    postprocess: PostprocessSpec
    label_map: Mapping[str, str]
    config_sha256: str
    weights_sha256: str
    step: int
    engines: tuple[EngineStamp, ...]

    def names(self) -> dict[int, str]:
        """Class name by id."""
        return {int(key): name for key, name in self.label_map.items()}


def write(folder: str | Path, manifest: Manifest) -> None:
    """Writes `manifest.json` into `folder`, with the SHA-256 of every other file there."""
    folder = Path(folder)
    content = {
        "schema_version": SCHEMA_VERSION,
        **dataclasses.asdict(manifest),
        "files": {name: sha256(folder / name) for name in _files(folder)},
    }
    atomic.write_text(folder / locations.MANIFEST, json.dumps(content, indent=2) + "\n")


def load(folder: str | Path, trust_engines: bool = False) -> Manifest:
    """Reads and verifies the manifest of an exported folder.

    Args:
        folder: As `roadmark.export` writes it.
        trust_engines: Whether engines of TensorRT, `tensorrt/model_<precision>.engine`, are taken
            although they are altered or not listed. They are code, which loading runs. Their stamps
            are `TRUSTED`, and say nothing else about them.

    Raises:
        UserError: There is no manifest, it is damaged or of an unknown schema version, or a file
            of the folder is missing, altered or not listed.
    """
    folder = Path(folder)
    path = folder / locations.MANIFEST
    content = _read(path)
    version = content.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise UserError(
            path,
            f"found schema version {version!r}, expected {SCHEMA_VERSION}",
            "use the release that exported it, or " + _EXPORT_AGAIN,
        )
    if "kind" in content:  # Those of detectors have none.
        raise UserError(
            path, f"is that of a {content['kind']}, expected a detector",
            "give the export of one; a classifier goes with infer --classify",
        )  # fmt: skip
    files = content.pop("files", None)
    manifest = _parse(Manifest, content, path, "manifest")
    loose = _verify(folder, _parse(dict[str, str], files, path, "files"), trust_engines)
    if not loose:
        return manifest
    known = [one for one in manifest.engines if one.path not in loose]
    trusted = [
        EngineStamp("tensorrt", name, _ENGINE.fullmatch(name)[1], {TRUSTED: "yes"})
        for name in loose
    ]
    return dataclasses.replace(manifest, engines=(*known, *trusted))


def is_export(folder: str | Path) -> bool:
    """Whether a folder has a manifest of ours, whole or not and of whatever schema version.

    Other software calls files `manifest.json` too.
    """
    try:
        content = _read(Path(folder) / locations.MANIFEST)
    except UserError:
        return False
    return {"schema_version", "weights_sha256"} <= content.keys()


def unlisted_files(folder: str | Path) -> list[str]:
    """Files of an exported folder that its manifest does not list: somebody added them.

    Args:
        folder: One of which `is_export` is true.
    """
    listed = _read(Path(folder) / locations.MANIFEST).get("files", {})
    return [name for name in _files(Path(folder)) if name not in listed]


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path != folder / locations.MANIFEST
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(
            path, "not found, expected the manifest of an exported model", _EXPORT_AGAIN
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(path, f"found {error}, expected JSON", _EXPORT_AGAIN) from None
    if not isinstance(content, dict):
        raise UserError(path, f"found {type(content).__name__}, expected an object", _EXPORT_AGAIN)
    return content


def _verify(folder: Path, files: dict[str, str], trust_engines: bool) -> list[str]:
    """Engines without a checksum that holds, where these are trusted."""
    present = _files(folder)
    for name in sorted(set(files) - set(present)):
        raise UserError(folder / name, "missing, expected as the manifest lists it", _EXPORT_AGAIN)
    loose = []
    for name in sorted(present):
        problem = _problem(folder / name, files.get(name))
        is_engine = _ENGINE.fullmatch(name) is not None
        if problem and is_engine and trust_engines:
            loose.append(name)
        elif problem:
            cure = _EXPORT_AGAIN if name in files else "move it out of the exported folder"
            raise UserError(folder / name, problem, _TRUST if is_engine else cure)
    return loose


def _problem(path: Path, expected: str | None) -> str:
    if expected is None:
        return "found a file that the manifest does not list"
    found = sha256(path)
    if found == expected:
        return ""
    return f"altered: found SHA-256 {found[:12]}…, expected {expected[:12]}…"


def _parse(kind: Any, value: Any, path: Path, where: str) -> Any:
    """Builds dataclasses, tuples, dicts and scalars of the annotated types from JSON values."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, value, path, where)
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        if len(kinds) == len(value):
            return tuple(
                _parse(kind, item, path, f"{where}[{index}]")
                for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
            )
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {
            key: _parse(arguments[1], item, path, f"{where}.{key}") for key, item in value.items()
        }
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    raise UserError(path, f"{where}: found {value!r}, expected {kind}", _EXPORT_AGAIN)


def _parse_dataclass(kind: Any, value: Any, path: Path, where: str) -> Any:
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    optional = {
        field.name
        for field in dataclasses.fields(kind)
        if field.default_factory is not dataclasses.MISSING
    }
    found = value if isinstance(value, dict) else {}
    wrong = sorted((set(found) ^ set(fields)) - (optional - set(found)))
    if wrong:
        raise UserError(
            path, f"{where}: found unknown or missing fields {', '.join(wrong)}", _EXPORT_AGAIN
        )
    return kind(
        **{
            name: _parse(fields[name], item, path, f"{where}.{name}")
            for name, item in found.items()
        }
    )
