"""Writes a folder that runs a trained model, and nothing else is needed to run it.

manifest.json     what is in the folder and how to use it (roadmark.manifest)
saved_model/      the stock SavedModel: pictures in, final detections out
raw/              the network alone: preprocessed batch in, raw outputs out
anchors.npy       its anchors (one-stage models)
label_map.pbtxt   class names
pipeline.config   the config of the model
"""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadmark import atomic, manifest, progress
from roadmark.data import synthetic
from roadmark.errors import UserError
from roadmark.export import agreement
from roadmark.export.agreement import STOCK_FOLDER, Agreement
from roadmark.inference.detector import ANCHORS_FILE
from roadmark.inference.engine import OPENVINO, RAW_FOLDER, TENSORFLOW
from roadmark.manifest import ONE_STAGE, EngineStamp, Manifest
from roadmark.odapi import checkpoints
from roadmark.odapi.trained_model import TrainedModel

_CONFIG = "pipeline.config"
_LABEL_MAP = "label_map.pbtxt"
_CHECKED_SCENES = 2


@dataclasses.dataclass(frozen=True)
class Exported:
    """What an export made.

    Attributes:
        folder: Where it is.
        manifest: What it says.
        agreement: How close raw and stock are.
        openvino: How close they are when OpenVINO runs the raw network, or why it cannot.
    """

    folder: Path
    manifest: Manifest
    agreement: Agreement
    openvino: Agreement | str


def export(model: TrainedModel, out: str | Path) -> Exported:
    """Exports a trained model; the folder appears whole or not at all.

    Args:
        model: As `trained_model.find` gives it.
        out: The folder; an earlier export there is replaced.

    Raises:
        UserError: `out` holds something else than an export, the checkpoint is of another model,
            the config needs what cannot be exported, or the two SavedModels do not agree.
    """
    out = Path(out)
    _refuse_to_replace(out, model)
    with progress.track("exporting", 6, "parts") as meter, atomic.atomic_folder(out) as folder:
        description = _write(model, folder, meter)
        scenes = [synthetic.render_scene(0, index).image for index in range(_CHECKED_SCENES)]
        found = agreement.measure(folder, scenes)
        meter.advance(note="compared")
        if not found.holds:
            raise UserError(
                model.config_path,
                f"the raw and the stock export disagree ({found})",
                "report this config as a bug; nothing was written",
            )
        openvino = _try_openvino(folder, scenes)
        if isinstance(openvino, Agreement) and openvino.holds:
            stamps = (*description.engines, _openvino_stamp())
            description = dataclasses.replace(description, engines=stamps)
            manifest.write(folder, description)
        meter.advance(note="tried OpenVINO")
    return Exported(out, description, found, openvino)


def _try_openvino(folder: Path, scenes: Sequence[np.ndarray]) -> Agreement | str:
    try:
        return agreement.measure(folder, scenes, OPENVINO)
    except UserError as error:
        return error.problem


def _refuse_to_replace(out: Path, model: TrainedModel) -> None:
    """The folder is replaced whole, so nothing of the user's may be in it."""
    cure = "choose an empty or a new folder with --out"
    for source in (model.config_path, model.checkpoint, model.label_map_path):
        if source.resolve().is_relative_to(out.resolve()):
            raise UserError(out, f"would replace what is exported, {source}", cure)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not manifest.is_export(out):
        raise UserError(out, "holds other files than an export, which would be lost", cure)
    for name in manifest.unlisted_files(out):
        raise UserError(out / name, "is no part of the export there, and would be lost", cure)


def _write(model: TrainedModel, folder: Path, meter: progress.Meter) -> Manifest:
    # TensorFlow and the OD API take seconds to import.
    from roadmark.odapi import exporting, models

    postprocess = exporting.postprocess_spec(model.config)
    network = models.build(model.config, is_training=False)
    checkpoints.restore_for_inference(network, model.checkpoint)
    input_spec = exporting.input_spec(model.config, network)
    meter.advance(note=f"restored {model.checkpoint.name}")
    anchors = None
    if postprocess.architecture == ONE_STAGE:
        anchors = exporting.anchors(network, input_spec)
        np.save(folder / ANCHORS_FILE, anchors)
    count = None if anchors is None else len(anchors)
    outputs = exporting.save_raw(network, input_spec, count, folder / RAW_FOLDER)
    meter.advance(note=f"wrote {RAW_FOLDER}")
    exporting.save_stock(network, folder / STOCK_FOLDER)
    meter.advance(note=f"wrote {STOCK_FOLDER}")
    shutil.copyfile(model.config_path, folder / _CONFIG)
    shutil.copyfile(model.label_map_path, folder / _LABEL_MAP)
    description = Manifest(
        model=model.name,
        input=input_spec,
        outputs=outputs,
        postprocess=postprocess,
        label_map={str(key): model.label_map.name_of(key) for key in model.label_map.ids},
        config_sha256=manifest.sha256(folder / _CONFIG),
        weights_sha256=exporting.weights_sha256(network),
        step=checkpoints.step_of(model.checkpoint),
        engines=(_tensorflow_stamp(),),
    )
    manifest.write(folder, description)
    meter.advance(note="wrote the manifest")
    return description


def _tensorflow_stamp() -> EngineStamp:
    import tensorflow as tf

    return EngineStamp(TENSORFLOW, RAW_FOLDER, "fp32", {"tensorflow": tf.__version__})


def _openvino_stamp() -> EngineStamp:
    import openvino

    return EngineStamp(OPENVINO, RAW_FOLDER, "fp32", {"openvino": openvino.__version__})
