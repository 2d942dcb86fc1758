"""Writes a folder that runs a trained model, and nothing else is needed to run it.

manifest.json     what is in the folder and how to use it (roadmark.manifest)
saved_model/      the stock SavedModel: pictures in, final detections out
raw/              the network alone: preprocessed batch in, raw outputs out
anchors.npy       its anchors (one-stage models)
label_map.pbtxt   class names
pipeline.config   the config of the model
onnx/, openvino/, tflite/  the network alone in these formats, where asked for
triton/           a model repository with the ONNX, or TensorRT's engine, where asked for
tensorflow_serving/  the stock SavedModel as TensorFlow Serving wants it, likewise
"""

import dataclasses
import itertools
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from roadmark import atomic, manifest, progress
from roadmark.data import synthetic
from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.evaluation.records import Selection
from roadmark.export import (
    agreement,
    conversion,
    quantisation,
    sampled_map,
    tensorflow_serving,
    tflite,
    triton,
)
from roadmark.export.agreement import STOCK_FOLDER, Agreement
from roadmark.export.conversion import Conversion
from roadmark.export.quantisation import Plan, Quantised
from roadmark.export.sampled_map import SampledMap
from roadmark.export.tflite import TFLITE
from roadmark.export.triton import TRITON
from roadmark.inference.detector import ANCHORS_FILE, Detector
from roadmark.inference.engine import (
    BATCH,
    ONNXRUNTIME,
    OPENVINO,
    RAW_FOLDER,
    TENSORFLOW,
    TENSORRT,
)
from roadmark.manifest import ONE_STAGE, EngineStamp, Manifest
from roadmark.odapi import checkpoints
from roadmark.odapi.trained_model import TrainedModel

ONNX = "onnx"
FORMATS = ("saved_model", ONNX, OPENVINO, TENSORRT, TFLITE, TRITON)
_ONNX_FILE = "onnx/model.onnx"
_OPENVINO_FILE = "openvino/model.xml"
_TFLITE_FILE = "tflite/model.tflite"
# By what they are needed for: the engine that runs it, and the file.
_INT8_FILES = {
    OPENVINO: (OPENVINO, "openvino/model_int8.xml"),
    TENSORRT: (ONNXRUNTIME, "onnx/model_int8.onnx"),
}
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
        sampled: mAP on some of the user's pictures, why it was not measured, or None where there
            are no records.
        engines: How close other engines come to the raw network in TensorFlow, or why one cannot
            run it, by the engine's name.
        conversion: What converting it took; None where nothing was converted.
        quantised: What int8 costs, by format; empty where nothing was quantised.
    """

    folder: Path
    manifest: Manifest
    agreement: Agreement
    sampled: SampledMap | str | None
    engines: Mapping[str, Agreement | str]
    conversion: Conversion | None
    quantised: Mapping[str, Quantised]

    def __str__(self) -> str:
        lines = [f"raw against stock on {self.agreement}"]
        if self.conversion:
            problems = "; ".join(self.conversion.tensorrt) or "nothing in the way"
            lines.append(f"conversion: {self.conversion}")
            lines.append(f"for TensorRT (operators and sizes alone): {problems}")
        lines += [f"{engine} against raw on {found}" for engine, found in self.engines.items()]
        lines.append(str(self.sampled or "mAP was not measured: no records"))
        lines += [f"{name} in int8: {found}" for name, found in self.quantised.items()]
        lines.append(
            f"exported {self.manifest.model} of step {self.manifest.step} to {self.folder}"
        )
        return "\n".join(lines)


def checked_formats(names: Collection[str], batch_size: int) -> frozenset[str]:
    """The formats that a user names.

    Args:
        names: Theirs.
        batch_size: See `export`.

    Raises:
        UserError: One is unknown, or the batch size is for none of them.
    """
    formats = frozenset(names)
    for name in sorted(formats - set(FORMATS)):
        choices = ", ".join(FORMATS)
        raise UserError("--format", f"found {name!r}", f"choose among {choices}")
    if batch_size and formats <= {"saved_model", TFLITE}:
        raise UserError(
            "--batch_size",
            f"found it with {' and '.join(sorted(formats))} alone, whose batch is always free",
            "add --format=onnx or openvino",
        )
    return formats


def export(
    model: TrainedModel,
    out: str | Path,
    formats: Collection[str] = (),
    batch_size: int = 0,
    int8: Plan | None = None,
    sample: Selection | None = None,
) -> Exported:
    """Exports a trained model; the folder appears whole or not at all.

    Args:
        model: As `trained_model.find` gives it.
        out: The folder; an earlier export there is replaced.
        formats: Of `FORMATS`, those to write besides the SavedModels, which are always there;
            `triton` and `tensorrt` bring `onnx` with them. Engines of TensorRT are not made here:
            see `tensorrt_build.add`.
        batch_size: The only one that these formats take; 0 for any.
        int8: Adds files in int8 for `openvino` and `tensorrt`, where these are among the formats.
        sample: Records on whose pictures all are compared too, as `sampled_map.select` gives them;
            None for rendered scenes alone.

    Raises:
        UserError: `out` holds something else than an export, the checkpoint is of another model,
            the config needs what cannot be exported, or the formats do not agree.
    """
    out = Path(out)
    formats = {*formats, ONNX} if {TRITON, TENSORRT} & {*formats} else formats
    _refuse_to_replace(out, model)
    parts = 7 if int8 is None else 8
    with progress.track("exporting", parts, "parts") as meter, atomic.atomic_folder(out) as folder:
        description = _write(model, folder, meter)
        scenes = [synthetic.render_scene(0, index).image for index in range(_CHECKED_SCENES)]
        scenes += [] if sample is None else sampled_map.pictures(sample, _CHECKED_SCENES)
        found = agreement.measure(folder, scenes)
        meter.advance(note="compared")
        if not found.holds:
            raise _disagrees(model, "the raw and the stock export disagree", found)
        made = _convert(folder, formats, batch_size)
        # What OpenVINO compiles is kept under the manifest, which is to list the new files.
        manifest.write(folder, description)
        meter.advance(note="converted")
        stamps = _stamps(formats, batch_size, made)
        engines, detectors = _try_all(folder, description, stamps, scenes)
        works = [isinstance(one, Agreement) and one.holds for one in engines.values()]
        for stamp, agreed, holds in zip(stamps, engines.values(), works, strict=True):
            if not holds and stamp.path != RAW_FOLDER:
                raise _disagrees(model, f"{stamp.path} and the raw SavedModel disagree", agreed)
        sampled = None if sample is None else _sampled(model, folder, sample, detectors)
        listed = (*description.engines, *itertools.compress(stamps, works))
        description = dataclasses.replace(description, engines=listed)
        if TRITON in formats:
            network, anchors = folder / _ONNX_FILE, _anchors(folder)
            triton.write(folder / TRITON, network, description, batch_size, anchors)
            models = folder / tensorflow_serving.FOLDER
            tensorflow_serving.write(models, folder / STOCK_FOLDER, description)
        manifest.write(folder, description)
        meter.advance(note="tried " + " and ".join(engines))
        quantised = {}
        for name in [one for one in _INT8_FILES if int8 is not None and one in formats]:
            description, quantised[name] = _add_int8(folder, description, int8, batch_size, name)
            manifest.write(folder, description)
        if int8 is not None:
            meter.advance(note="quantised")
    return Exported(out, description, found, sampled, engines, made, quantised)


def _add_int8(
    folder: Path, description: Manifest, plan: Plan, batch_size: int, name: str
) -> tuple[Manifest, Quantised]:
    engine, path = _INT8_FILES[name]
    quantised = quantisation.quantise(folder, folder / path, plan, engine)
    facts = {engine: metadata.version(engine)}
    making = {
        "calibration": plan.calibration,
        "calibrated_on": f"{quantised.pictures} pictures of {plan.calibration_records}",
        "evaluated_on": f"{quantised.evaluated} pictures of {plan.eval_records}",
        "map_fp32": f"{quantised.map_before:.4f}",
        "map_int8": f"{quantised.map_after:.4f}",
    }
    batch = {BATCH: str(batch_size)} if batch_size else {}
    stamp = EngineStamp(engine, path, "int8", facts | batch, making)
    listed = (*description.engines, stamp)
    return dataclasses.replace(description, engines=listed), quantised


def _disagrees(model: TrainedModel, problem: str, found: Agreement | str) -> UserError:
    return UserError(
        model.config_path,
        f"{problem} ({found})",
        "report this config as a bug; nothing was written",
    )


def _try_all(
    folder: Path,
    description: Manifest,
    stamps: Sequence[EngineStamp],
    scenes: Sequence[np.ndarray],
) -> tuple[dict[str, Agreement | str], dict[str, Detector]]:
    """How close each engine comes to the raw SavedModel in TensorFlow, or why it cannot run.

    And those that agree, with the reference, which is the first.
    """
    reference = Detector.load(folder, TENSORFLOW, "cpu", description=description)
    found: dict[str, Agreement | str] = {}
    agreeing = {TENSORFLOW: reference}
    for stamp in stamps:
        listed = dataclasses.replace(description, engines=(stamp,))
        try:
            candidate = _load(folder, listed, stamp)
            measured = agreement.between(reference, candidate, scenes)
        except UserError as error:
            found[stamp.engine] = error.problem
            continue
        found[stamp.engine] = measured
        if measured.holds:
            agreeing[stamp.engine] = candidate
    return found, agreeing


def _load(folder: Path, listed: Manifest, stamp: EngineStamp) -> Detector:
    if stamp.engine != TFLITE:
        return Detector.load(folder, stamp.engine, "cpu", stamp.precision, description=listed)
    return Detector(listed, tflite.Interpreter.load(folder, listed), _anchors(folder))


def _anchors(folder: Path) -> np.ndarray | None:
    """Of a one-stage model."""
    path = folder / ANCHORS_FILE
    return np.load(path) if path.is_file() else None


def _sampled(
    model: TrainedModel, folder: Path, sample: Selection, detectors: Mapping[str, Detector]
) -> SampledMap | str:
    stock = agreement.stock_model(folder)

    def look(images: Sequence[np.ndarray]) -> list[Detections]:
        return [agreement.stock_detections(stock(one), one.shape[:2]) for one in images]

    detects = {"stock": look} | {name: one.detect for name, one in detectors.items()}
    try:
        found = sampled_map.measure(sample, model.label_map, detects)
    except UserError as error:
        return f"mAP was not measured: {error}"
    if not found.holds:
        raise _disagrees(model, "the stock export and others disagree", str(found))
    return found


def _convert(folder: Path, formats: Collection[str], batch_size: int) -> Conversion | None:
    wanted = [name for name in (ONNX, OPENVINO, TFLITE) if name in formats]
    if not wanted:
        return None
    for name in wanted:
        (folder / name).mkdir()
    with tempfile.TemporaryDirectory() as elsewhere:
        onnx = (folder if ONNX in formats else Path(elsewhere)) / _ONNX_FILE
        onnx.parent.mkdir(exist_ok=True)
        openvino = folder / _OPENVINO_FILE if OPENVINO in formats else None
        lite = folder / _TFLITE_FILE if TFLITE in formats else None
        return conversion.convert(folder / RAW_FOLDER, onnx, openvino, batch_size, lite)


def _stamps(
    formats: Collection[str], batch_size: int, made: Conversion | None
) -> list[EngineStamp]:
    """What the engines are to run; OpenVINO reads the raw SavedModel where it has no own file."""
    batch = {BATCH: str(batch_size)} if batch_size else {}
    making = {} if made is None else {"peak_memory_bytes": str(made.peak_bytes)}
    stamps = []
    if ONNX in formats:
        facts = {"onnxruntime": metadata.version("onnxruntime"), "opset": str(made.opset)}
        stamps.append(EngineStamp(ONNXRUNTIME, _ONNX_FILE, "fp32", facts | batch, making))
    facts = {"openvino": metadata.version("openvino")}
    if OPENVINO in formats:
        stamps.append(EngineStamp(OPENVINO, _OPENVINO_FILE, "fp32", facts | batch, making))
    else:
        stamps.append(EngineStamp(OPENVINO, RAW_FOLDER, "fp32", facts))
    if TFLITE in formats:
        facts = {"tensorflow": _tensorflow_version()}
        stamps.append(EngineStamp(TFLITE, _TFLITE_FILE, "fp32", facts, making))
    return stamps


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
    return EngineStamp(TENSORFLOW, RAW_FOLDER, "fp32", {"tensorflow": _tensorflow_version()})


def _tensorflow_version() -> str:
    import tensorflow as tf

    return tf.__version__
