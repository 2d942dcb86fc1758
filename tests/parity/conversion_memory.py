"""What converting the network of each config takes: memory, time, and what TensorRT would refuse.

    bazel run //tests/parity:conversion_memory
    bazel run //tests/parity:conversion_memory -- --configs=effdet_d0,effdet_d1

Networks have random weights, each is built in a process of its own and converted to ONNX and
OpenVINO's format in another, as `export` does it. The table has the largest resident memory of
both; exit code 1 where a conversion took more than 14 GiB or failed. One after the other, so that
the machine needs no more than the largest. The last results are in docs/results/conversions.md.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
from absl import flags

from roadmark import app
from roadmark.errors import UserError
from roadmark.export import conversion

_CONFIGS = flags.DEFINE_list("configs", [], "Names of configs; else the eight of the zoo.")
_LIMIT_GIB = 14.0
_FOLDER = Path(__file__).resolve().parents[2] / "configs"
_ZOO = (
    "ssd_mobilenet_v2_fpnlite_320",
    "ssd_mobilenet_v2_fpnlite_640",
    "effdet_d0",
    "effdet_d1",
    "ssd_resnet50_fpn_640",
    "ssd_resnet152_fpn_640",
    "faster_rcnn_inception_resnet_v2_640",
    "mask_rcnn_inception_resnet_v2",
)
# For the processes that the program starts itself.
_SAVE = flags.DEFINE_string("save", None, "CONFIG,FOLDER: writes the raw network, prints GiB.")


def main() -> int:
    """Runs the program; see the module's text."""
    if _SAVE.value:
        config, raw = map(Path, _SAVE.value.split(","))
        print(json.dumps(_save(config, raw)))
        return 0
    names = _CONFIGS.value or list(_ZOO)
    for name in names:
        if not (_FOLDER / f"{name}.config").is_file():
            raise UserError("--configs", f"found no {name}", f"choose among those in {_FOLDER}")
    print("| config | building, GiB | converting, GiB | s | nodes | surgery | for TensorRT |")
    print("|---|---|---|---|---|---|---|", flush=True)
    within = [_convert(name) for name in names]
    return 0 if all(within) else 1


def _save(config: Path, raw: Path) -> float:
    import random_network

    random_network.save(config, raw)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _convert(name: str) -> bool:
    """Prints the config's line; whether the conversion stayed within the limit."""
    with tempfile.TemporaryDirectory() as folder:
        raw, path = Path(folder, "raw"), Path(folder, "model.onnx")
        command = [sys.executable, __file__, f"--save={_FOLDER / name}.config,{raw}"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        built = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        building = json.loads(built.stdout.splitlines()[-1])
        try:
            made = conversion.convert(raw, path, Path(folder, "model.xml"), 0)
        except UserError as error:
            print(f"| {name} | {building:.1f} | FAILED: {error.problem} |", flush=True)
            return False
        converting = made.peak_bytes / 2**30
        nodes = len(onnx.load(path).graph.node)
    sites = ", ".join(f"{step} {count}" for step, count in made.sites.items() if count)
    problems = "; ".join(made.tensorrt) or "nothing in the way"
    figures = f"{building:.1f} | {converting:.1f} | {made.seconds:.0f} | {nodes}"
    print(f"| {name} | {figures} | {sites or 'nothing'} | {problems} |", flush=True)
    return converting <= _LIMIT_GIB


if __name__ == "__main__":
    app.run(main)
