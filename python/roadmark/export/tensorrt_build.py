"""TensorRT engines of an exported folder, built on the machine that runs them.

Written by NVIDIA's documentation and **not run yet**: docs/tensorrt.md says what is known.
"""

import dataclasses
import os
import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx

from roadmark import manifest
from roadmark.errors import UserError
from roadmark.export import agreement, efficient_nms, half_precision, tensorrt_check, triton
from roadmark.export.agreement import Agreement
from roadmark.inference import engine_nms, tensorrt_process, tensorrt_stamp
from roadmark.inference.detector import ANCHORS_FILE, Detector
from roadmark.inference.engine import BATCH, ONNXRUNTIME, TENSORRT, batch_size, stamp_of
from roadmark.inference.tensorrt_stamp import (
    BATCH_MAX,
    BATCH_MIN,
    HARDWARE_COMPATIBLE,
    NMS,
    VERSION_COMPATIBLE,
    YES,
    Here,
)
from roadmark.manifest import EngineStamp, Manifest

INT8 = "int8"
PRECISIONS = ("fp32", half_precision.FP16, half_precision.BF16, INT8)
# How far detections may be from those of the ONNX that halves were made of: score, and pixels of a
# corner. What int8 costs was measured when its ONNX was made.
BOUNDS = {
    "fp32": (1e-3, 1.0),
    half_precision.FP16: (1e-2, 2.0),
    half_precision.BF16: (5e-2, 4.0),
    INT8: (5e-2, 4.0),
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to build an engine.

    Attributes:
        precision: Of `PRECISIONS`; decided in the ONNX file that TensorRT is given.
        max_batch: The largest batch that the engine takes, where the ONNX's batch is free.
        python: The interpreter that has TensorRT; None for this one.
        version_compatible: Whether later versions of TensorRT may run it.
        hardware_compatible: Whether other GPUs from Ampere on may run it.
        nms_in_engine: Whether TensorRT's plugin EfficientNMS_TRT decodes and suppresses boxes
            inside the engine, and not Roadmark's kernels behind it.
    """

    precision: str
    max_batch: int = 8
    python: str | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    nms_in_engine: bool = False


def plan(
    formats: Collection[str],
    precision: str,
    max_batch: int,
    python: str | None,
    portable: Collection[str],
    nms_in_engine: bool = False,
) -> Plan | None:
    """What to build, on a machine that can.

    Args:
        formats: What is to be exported; None is returned where tensorrt is not among them.
        precision: Of `PRECISIONS`.
        max_batch: See `Plan`.
        python: See `Plan`.
        portable: `version` and `hardware`, see `Plan`.
        nms_in_engine: See `Plan`.

    Raises:
        UserError: There is no such precision, no driver that works, or no TensorRT; or the choices
            do not agree.
    """
    if TENSORRT not in formats:
        if precision in (half_precision.FP16, half_precision.BF16):
            raise UserError(
                "--precision", f"found {precision}, which tensorrt alone has", "add its --format"
            )
        if nms_in_engine:
            raise UserError("--nms_in_engine", "found it without tensorrt", "add its --format")
        return None
    if precision not in PRECISIONS:
        choices = ", ".join(PRECISIONS)
        raise UserError(
            "--precision",
            f"found {precision}, tensorrt is built in {choices}",
            "choose among these",
        )
    if nms_in_engine and triton.TRITON in formats:
        raise UserError(
            "--nms_in_engine",
            "found it with triton, whose ensemble suppresses boxes itself",
            "leave one of them out",
        )
    if nms_in_engine and "version" in portable:
        raise UserError(
            "--nms_in_engine",
            "found it with --portable=version, whose engines bring no plugins",
            "leave one of them out",
        )
    here = tensorrt_stamp.probe(python)
    try:
        tensorrt_process.flags_of(here.tensorrt, precision)
    except tensorrt_process.MistakeError as error:
        raise UserError("--precision", *error.args) from None
    portability = ("version" in portable, "hardware" in portable)
    return Plan(precision, max_batch, python, *portability, nms_in_engine)


def add(folder: Path, plan: Plan) -> tuple[Manifest, Agreement | None]:
    """Builds an engine from a folder's ONNX, checks it, and lists it in the manifest.

    Where the folder has a model repository for Triton, the engine becomes its network.

    Args:
        folder: As `roadmark.export` writes it, with ONNX.
        plan: How to build it.

    Returns:
        The new manifest, and how close the engine comes to its ONNX on two pictures; None
        for one that another interpreter's TensorRT has built, which does not run in this process.

    Raises:
        UserError: The folder is not whole or holds no ONNX, TensorRT does not take its operators,
            there is no driver or library, building fails, or the engine's results are others.
    """
    description = manifest.load(folder)
    stamp = stamp_of(description, ONNXRUNTIME, _source_precision(plan.precision))
    refuse_unsupported(folder / stamp.path)
    if plan.nms_in_engine:
        efficient_nms.refuse_unsupported(description.postprocess)
    here = tensorrt_stamp.probe(plan.python)
    fixed = batch_size(stamp)
    largest = fixed or plan.max_batch
    path = Path("tensorrt") / f"model_{plan.precision}.engine"
    with tempfile.TemporaryDirectory(dir=folder.parent) as elsewhere:
        built = Path(elsewhere, path.name)
        typed = built.with_suffix(".onnx")
        onnx.save(_network(folder, stamp, description, plan), typed)
        where = folder / stamp.path
        said = _build(where, typed, built, plan, (fixed or 1, largest), here)
        facts = {
            **dataclasses.asdict(here),
            BATCH_MIN: str(fixed or 1),
            BATCH_MAX: str(largest),
            "weights_sha256": description.weights_sha256,
            "config_sha256": description.config_sha256,
            "onnx_sha256": manifest.sha256(folder / stamp.path),
            VERSION_COMPATIBLE: YES if plan.version_compatible else "no",
            HARDWARE_COMPATIBLE: YES if plan.hardware_compatible else "no",
            **({BATCH: str(fixed)} if fixed else {}),
            **({NMS: engine_nms.PLUGIN} if plan.nms_in_engine else {}),
        }
        made = EngineStamp(
            TENSORRT,
            path.as_posix(),
            plan.precision,
            facts,
            {"peak_memory_bytes": str(said["peak_bytes"])},
        )
        found = None
        if plan.python is None:
            found = _check(folder, description, dataclasses.replace(made, path=str(built)))
        (folder / path.parent).mkdir(exist_ok=True)
        os.replace(built, folder / path)
    if not plan.nms_in_engine and (folder / triton.TRITON).is_dir():
        repository = folder / triton.TRITON
        triton.write_plan(repository, folder / path, description, fixed or 0, largest)
    others = [one for one in description.engines if one.path != made.path]
    description = dataclasses.replace(description, engines=(*others, made))
    manifest.write(folder, description)
    return description, found


def _source_precision(precision: str) -> str:
    """Of the ONNX that an engine is made of: halves are made here, int8 on records before."""
    return INT8 if precision == INT8 else "fp32"


def refuse_unsupported(path: Path) -> None:
    """Raises UserError for an ONNX file that cannot be read, or that TensorRT would not take."""
    try:
        model = onnx.load(path)
    except Exception as error:  # Protobuf's have no base class that is public.
        reason = str(error).strip().splitlines()[0]
        raise UserError(path, f"is no ONNX file ({reason})", "export the model again") from None
    problems = tensorrt_check.problems(model)
    if problems:
        raise UserError(
            path,
            f"TensorRT does not take it: {'; '.join(problems)}",
            "leave --format=tensorrt out; --engine=onnxruntime runs it on a GPU",
        )


def timing_cache(here: Here) -> Path:
    """Where what TensorRT has measured on a GPU is kept for the next engine."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    name = f"{here.tensorrt}_{here.gpu}".replace(" ", "_").replace("/", "_")
    return base / "roadmark/tensorrt" / f"{name}.timing"


def _network(
    folder: Path, stamp: EngineStamp, description: Manifest, plan: Plan
) -> onnx.ModelProto:
    """The ONNX that TensorRT is given: in the engine's precision, with what is to be inside it."""
    model = onnx.load(folder / stamp.path)
    if plan.precision in (half_precision.FP16, half_precision.BF16):
        model = half_precision.convert(model, plan.precision)
    if plan.nms_in_engine:
        anchors = np.load(folder / ANCHORS_FILE)
        model = efficient_nms.append(model, anchors, description.postprocess)
    return model


def _build(
    where: Path, typed: Path, target: Path, plan: Plan, batches: tuple[int, int], here: Here
) -> dict[str, str]:
    cache = timing_cache(here)
    cache.parent.mkdir(parents=True, exist_ok=True)
    smallest, largest = batches
    arguments = ["build", str(typed), str(target), f"--precision={plan.precision}"]
    arguments += [f"--min_batch={smallest}", f"--opt_batch={smallest}", f"--max_batch={largest}"]
    arguments += [f"--timing_cache={cache}"]
    arguments += ["--version_compatible"] * plan.version_compatible
    arguments += ["--hardware_compatible"] * plan.hardware_compatible
    arguments += [f"--plugin={engine_nms.PLUGIN}"] * plan.nms_in_engine
    return tensorrt_stamp.run_process(arguments, where, "no engine can be built", plan.python)


def _check(folder: Path, description: Manifest, stamp: EngineStamp) -> Agreement:
    """Compares an engine with ONNX Runtime on rendered scenes; both need no TensorFlow."""
    from roadmark.data import synthetic

    scenes = [synthetic.render_scene(0, index).image for index in range(2)]
    listed = dataclasses.replace(description, engines=(*description.engines, stamp))
    precision = _source_precision(stamp.precision)
    reference = Detector.load(folder, ONNXRUNTIME, "cpu", precision, description=listed)
    candidate = Detector.load(folder, TENSORRT, "gpu", stamp.precision, description=listed)
    # Behind NMS there are no anchors left to compare.
    has_anchors = stamp.precision != "fp32" and not engine_nms.is_in(stamp)
    compare = agreement.between_networks if has_anchors else agreement.between
    found = compare(reference, candidate, scenes)
    score, corner = BOUNDS[stamp.precision]
    # In halves NMS may take the other of two boxes that score alike.
    may_differ = 0 if stamp.precision == "fp32" else found.boxes // 10
    if found.unmatched > may_differ or found.score > score or found.corner > corner:
        raise UserError(
            folder,
            f"the engine in {stamp.precision} and its ONNX disagree ({found}; allowed here are "
            f"{score:g} and {corner:g} px)",
            "try --precision=fp16 or fp32; nothing was written",
        )
    return found
