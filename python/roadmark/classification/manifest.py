"""`manifest.json` of an exported classifier: how it is fed, its classes, SHA-256 of its files."""

import dataclasses
import json
from pathlib import Path

from roadmark import atomic, locations
from roadmark.errors import UserError
from roadmark.manifest import sha256

KIND = "classifier"
SCHEMA_VERSION = 1
ONNX_FILE = "model.onnx"
SAVED_MODEL = "saved_model"
_EXPORT_AGAIN = "export it again with: bazel run //python:classify -- export --model=RUN"


@dataclasses.dataclass(frozen=True)
class ClassifierManifest:
    """Everything about an exported classifier but the SHA-256 of its files.

    Attributes:
        model: Name of the run.
        input_name: Of the graph's argument, float32 `[N, height, width, 3]`, RGB of 0 to 255; the
            backbone's own preparation is in the graph.
        height: Pixels.
        width: Pixels.
        output_name: Of the probabilities, float32 `[N, classes]`.
        classes: Names in the order of the columns.
        backbone: As in the config.
        data_version: Of the class set that it was trained on.
        config_sha256: Of the run's config.
        weights_sha256: Of the run's best weights file.
        epoch: That these are of.
        largest_difference: Of a probability, between ONNX and Keras on random pictures.
    """

    model: str
    input_name: str
    height: int
    width: int
    output_name: str
    classes: tuple[str, ...]
    backbone: str
    data_version: str
    config_sha256: str
    weights_sha256: str
    epoch: int
    largest_difference: float


def write(folder: Path, description: ClassifierManifest) -> None:
    """Writes `manifest.json` with the SHA-256 of every other file in the folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    content = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        **dataclasses.asdict(description),
        "files": {path.relative_to(folder).as_posix(): sha256(path) for path in files},
    }
    atomic.write_text(folder / locations.MANIFEST, json.dumps(content, indent=2) + "\n")


def is_export(folder: str | Path) -> bool:
    """Whether a folder has a manifest of any kind."""
    return (Path(folder) / locations.MANIFEST).is_file()


def load(folder: str | Path) -> ClassifierManifest:
    """Reads and verifies the manifest of an exported classifier.

    Raises:
        UserError: There is none, it is not a classifier's, or a file is missing or altered.
    """
    folder = Path(folder)
    path = folder / locations.MANIFEST
    if not path.is_file():
        inside = locations.export_dir(folder)
        cure = f"give {inside}" if is_export(inside) else _EXPORT_AGAIN
        raise UserError(path, "not found, expected an exported classifier", cure)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kind, version = content.pop("kind", "detector"), content.pop("schema_version")
        files = content.pop("files")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(path, f"found {error!r}, expected a manifest", _EXPORT_AGAIN) from None
    if kind != KIND:
        raise UserError(path, f"is that of a {kind}, expected a {KIND}", _EXPORT_AGAIN)
    if version != SCHEMA_VERSION:
        raise UserError(
            path, f"found schema version {version!r}, expected {SCHEMA_VERSION}", _EXPORT_AGAIN
        )
    for name, expected in files.items():
        file = folder / name
        if not file.is_file() or sha256(file) != expected:
            problem = "altered since the export" if file.is_file() else "missing"
            raise UserError(file, f"{problem}, expected as the manifest lists it", _EXPORT_AGAIN)
    try:
        return ClassifierManifest(**content | {"classes": tuple(content["classes"])})
    except (TypeError, KeyError) as error:
        raise UserError(
            path, f"found {error!r}, expected a whole manifest", _EXPORT_AGAIN
        ) from None
