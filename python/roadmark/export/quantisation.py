"""INT8 by calibration on the user's records, in a child process, with its cost in mAP."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from roadmark import manifest
from roadmark.errors import UserError
from roadmark.evaluation import records
from roadmark.export import int8_cache
from roadmark.inference import child_process
from roadmark.inference.detector import ANCHORS_FILE
from roadmark.inference.engine import OPENVINO, stamp_of

MINMAX, PERCENTILE, ENTROPY = "minmax", "percentile", "entropy"
CALIBRATIONS = (MINMAX, PERCENTILE, ENTROPY)
_PROCESS = "roadmark.export.quantisation_process"
_POINTS = 100


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to calibrate on, and what it may cost.

    Attributes:
        calibration_records: Glob of the records whose pictures show the ranges of values.
        pictures: How many of them, spread evenly.
        eval_records: Glob of the records that mAP is measured on.
        eval_subset: How many of them, spread evenly; 0 for all.
        max_map_drop: Points of mAP (of 100) that may be lost.
        calibration: How a tensor's range follows from its values: `minmax`, the mean over pictures
            of the smallest and the largest; `percentile`, likewise of all but the outermost
            10,000th at either end; `entropy`, see `entropy_range`.
    """

    calibration_records: str
    pictures: int
    eval_records: str
    eval_subset: int
    max_map_drop: float
    calibration: str = MINMAX


@dataclasses.dataclass(frozen=True)
class Quantised:
    """What came of it.

    Attributes:
        pictures: How many were calibrated on.
        evaluated: How many mAP was measured on.
        map_before: In fp32, 0 to 1.
        map_after: In int8.
        is_from_cache: Whether an earlier export made it, of the same network and records.
    """

    pictures: int
    evaluated: int
    map_before: float
    map_after: float
    is_from_cache: bool = False

    @property
    def drop(self) -> float:
        """Lost points of mAP."""
        return (self.map_before - self.map_after) * _POINTS

    def __str__(self) -> str:
        made = " by an earlier export" if self.is_from_cache else ""
        return (
            f"calibrated on {self.pictures} pictures{made}; mAP on {self.evaluated}: "
            f"{self.map_before:.4f} in fp32, {self.map_after:.4f} in int8"
        )


def quantise(folder: Path, out: Path, plan: Plan, engine: str = OPENVINO) -> Quantised:
    """Quantises a file of an exported folder with nncf.

    Layers that cost the most accuracy go back to fp32 until the loss is within the bound. What is
    made is kept in the user's cache, `roadmark/int8` under `XDG_CACHE_HOME` or `~/.cache`; the last
    20 networks stay.

    Args:
        folder: Its manifest lists a file of the engine in fp32.
        out: The file to write; with `.xml` there is a `.bin` beside it.
        plan: What to calibrate on.
        engine: `openvino`, or `onnxruntime` for ONNX that TensorRT takes too.

    Raises:
        UserError: There are no such records, they show no object or one class only, quantisation
            fails, or it costs more than it may.
    """
    name = int8_cache.key(_facts(folder, plan, engine))
    said = int8_cache.take(name, out)
    if said is not None:
        return Quantised(**said, is_from_cache=True)
    arguments = [str(folder), f"--out={out}", f"--engine={engine}"]
    arguments += [f"--{name}={value}" for name, value in dataclasses.asdict(plan).items()]
    said = child_process.run(
        _PROCESS, arguments, folder, "cannot be quantised", "leave --precision=int8 out"
    )
    found = Quantised(**said)
    refuse_loss(found, plan)
    int8_cache.keep(name, out, said)
    return found


def refuse_loss(found: Quantised, plan: Plan) -> None:
    """Raises UserError where int8 costs more than it may."""
    if found.drop > plan.max_map_drop:
        raise UserError(
            "--max_map_drop",
            f"int8 costs {found.drop:.2f} points of mAP, of {plan.max_map_drop:g} allowed",
            "calibrate on more pictures, allow more, or leave --precision=int8 out",
        )


def _facts(folder: Path, plan: Plan, engine: str) -> dict[str, Any]:
    """All that int8 is made and judged by; of records it is their content that counts."""
    description = manifest.load(folder)
    # Not by its file: converters give the same network other names each time.
    source, anchors = stamp_of(description, engine, "fp32"), folder / ANCHORS_FILE
    return {
        "weights": description.weights_sha256,
        "config": description.config_sha256,
        "network": [source.path, dict(source.built_for)],
        "anchors": manifest.sha256(anchors) if anchors.is_file() else "",
        "input": dataclasses.asdict(description.input),
        "postprocess": dataclasses.asdict(description.postprocess),
        "label_map": dict(description.label_map),
        "calibrated_on": _content(plan.calibration_records, plan.pictures),
        "evaluated_on": _content(plan.eval_records, plan.eval_subset),
        "calibration": plan.calibration,
        "max_map_drop": plan.max_map_drop,
        "engine": engine,
    }


def _content(source: str, subset: int) -> str:
    """Of the chosen records, in their order."""
    digest = hashlib.sha256()
    for _, record in records.select(source, subset).records():
        digest.update(hashlib.sha256(record).digest())
    return digest.hexdigest()
