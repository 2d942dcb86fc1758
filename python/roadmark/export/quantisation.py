"""INT8 by calibration on the user's records, in a child process, with its cost in mAP."""

import dataclasses
from pathlib import Path

from roadmark.errors import UserError
from roadmark.inference import child_process
from roadmark.inference.engine import OPENVINO

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
    """

    calibration_records: str
    pictures: int
    eval_records: str
    eval_subset: int
    max_map_drop: float


@dataclasses.dataclass(frozen=True)
class Quantised:
    """What came of it.

    Attributes:
        pictures: How many were calibrated on.
        evaluated: How many mAP was measured on.
        map_before: In fp32, 0 to 1.
        map_after: In int8.
    """

    pictures: int
    evaluated: int
    map_before: float
    map_after: float

    @property
    def drop(self) -> float:
        """Lost points of mAP."""
        return (self.map_before - self.map_after) * _POINTS

    def __str__(self) -> str:
        return (
            f"calibrated on {self.pictures} pictures; mAP on {self.evaluated}: "
            f"{self.map_before:.4f} in fp32, {self.map_after:.4f} in int8"
        )


def quantise(folder: Path, out: Path, plan: Plan, engine: str = OPENVINO) -> Quantised:
    """Quantises a file of an exported folder with nncf.

    Layers that cost the most accuracy go back to fp32 until the loss is within the bound.

    Args:
        folder: Its manifest lists a file of the engine in fp32.
        out: The file to write; with `.xml` there is a `.bin` beside it.
        plan: What to calibrate on.
        engine: `openvino`, or `onnxruntime` for ONNX that TensorRT takes too.

    Raises:
        UserError: There are no such records, they show no object or one class only, quantisation
            fails, or it costs more than it may.
    """
    arguments = [str(folder), f"--out={out}", f"--engine={engine}"]
    arguments += [f"--{name}={value}" for name, value in dataclasses.asdict(plan).items()]
    said = child_process.run(
        _PROCESS, arguments, folder, "cannot be quantised", "leave --precision=int8 out"
    )
    found = Quantised(**said)
    refuse_loss(found, plan)
    return found


def refuse_loss(found: Quantised, plan: Plan) -> None:
    """Raises UserError where int8 costs more than it may."""
    if found.drop > plan.max_map_drop:
        raise UserError(
            "--max_map_drop",
            f"int8 costs {found.drop:.2f} points of mAP, of {plan.max_map_drop:g} allowed",
            "calibrate on more pictures, allow more, or leave --precision=int8 out",
        )
