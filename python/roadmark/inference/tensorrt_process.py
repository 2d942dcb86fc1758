"""Asks TensorRT what it is, or has it build an engine: the process that does it.

    python tensorrt_process.py probe
    python tensorrt_process.py build MODEL.onnx ENGINE --precision=fp16 --max_batch=8 ...

Without a GPU, parts of TensorRT end the process, so `tensorrt_build` runs this as a child, and only
where the driver works. It may be run by an interpreter of its own (TensorRT 8.6 has wheels up to
Python 3.10), so it needs the standard library and tensorrt alone, and no more than Python 3.8.
The last line that it prints is a JSON object; with `mistake`, what is wrong in one line.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import sys
from typing import Any

# CUDA's numbers of the compute capability's parts (cuda.h, CUdevice_attribute).
_MAJOR, _MINOR = 75, 76
_FIRST_STRONGLY_TYPED, _FIRST_ALWAYS_TYPED = 9, 11


class MistakeError(Exception):
    """What is wrong, and what to do about it."""


def main(arguments: list[str]) -> None:
    """Runs the process; see the module's text."""
    options = _parsed(arguments)
    try:
        found = probe() if options.do == "probe" else build(options)
    except MistakeError as error:
        problem, cure = error.args
        found = {"mistake": [options.where, problem, cure]}
    print(json.dumps(found))


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="do", required=True)
    commands.add_parser("probe").set_defaults(where="tensorrt")
    build = commands.add_parser("build")
    build.add_argument("where", metavar="onnx")
    build.add_argument("engine")
    build.add_argument("--precision", required=True)
    build.add_argument("--min_batch", type=int, required=True)
    build.add_argument("--opt_batch", type=int, required=True)
    build.add_argument("--max_batch", type=int, required=True)
    build.add_argument("--timing_cache", required=True)
    build.add_argument("--version_compatible", action="store_true")
    build.add_argument("--hardware_compatible", action="store_true")
    build.add_argument("--plugin")
    return parser.parse_args(arguments)


def probe() -> dict[str, str]:
    """Version of TensorRT, name and compute capability of the first GPU."""
    trt = _tensorrt()
    return dict(_gpu(), tensorrt=trt.__version__)


def _tensorrt() -> Any:
    try:
        import tensorrt
    except ImportError as error:
        raise MistakeError(
            f"found no TensorRT ({str(error).splitlines()[0]})",
            "install it (pip install tensorrt), or name an interpreter that has it with "
            "--tensorrt_python",
        ) from None
    return tensorrt


def _gpu() -> dict[str, str]:
    driver = ctypes.CDLL("libcuda.so.1")
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    parts = [ctypes.c_int(), ctypes.c_int()]
    failed = driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0)
    failed = failed or driver.cuDeviceGetName(name, len(name), device)
    for part, number in zip(parts, (_MAJOR, _MINOR)):  # noqa: B905 - Python 3.8
        failed = failed or driver.cuDeviceGetAttribute(ctypes.byref(part), number, device)
    if failed:
        raise MistakeError(f"the driver does not tell its GPU (error {failed})", "see nvidia-smi")
    capability = f"{parts[0].value}.{parts[1].value}"
    return {"gpu": name.value.decode(), "compute_capability": capability}


def flags_of(version: str, precision: str) -> tuple[list[str], list[str]]:
    """What a version needs to be told about a file of a precision.

    From 9 on a network can be strongly typed, and from 11 on it always is: then the file alone says
    in which types it is computed. Before, the builder must be allowed the types that it holds.

    Returns:
        Names of flags of `NetworkDefinitionCreationFlag` and of `BuilderFlag`.
    """
    major = int(version.split(".")[0])
    if major >= _FIRST_ALWAYS_TYPED:
        return [], []
    if major >= _FIRST_STRONGLY_TYPED:
        return ["STRONGLY_TYPED"], []
    if precision == "bf16":
        raise MistakeError(
            f"TensorRT {version} has no bf16", "use --precision=fp16, or TensorRT 10 or later"
        )
    return ["EXPLICIT_BATCH"], {"fp32": [], "fp16": ["FP16"], "int8": ["INT8"]}[precision]


def build(options: argparse.Namespace) -> dict[str, Any]:
    """Builds an engine; the file appears whole or not at all."""
    trt = _tensorrt()
    log = _log_of(trt)
    network_flags, builder_flags = flags_of(trt.__version__, options.precision)
    if options.plugin:
        require_plugin(trt, log, options.plugin)
    builder = trt.Builder(log)
    flags = sum(
        1 << int(getattr(trt.NetworkDefinitionCreationFlag, name)) for name in network_flags
    )
    network = builder.create_network(flags)
    _parse(trt.OnnxParser(network, log), options.where)
    config = builder.create_builder_config()
    for name in builder_flags:
        config.set_flag(getattr(trt.BuilderFlag, name))
    # TensorFloat-32 would round what the file says is float32.
    config.clear_flag(trt.BuilderFlag.TF32)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    _add_profile(builder, network, config, options)
    _load_timing_cache(config, options.timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise MistakeError(
            f"TensorRT {trt.__version__} builds no engine: {log.reason()}",
            "free device memory, or lower --max_batch; report it as a bug when neither helps",
        )
    _write(options.timing_cache, config.get_timing_cache().serialize())
    _write(options.engine, plan)
    return dict(probe(), peak_bytes=_peak_bytes())


def require_plugin(trt: Any, log: Any, name: str) -> None:
    """Loads TensorRT's own plugins; MistakeError where the one that is needed is not among them."""
    trt.init_libnvinfer_plugins(log, "")
    registry = trt.get_plugin_registry()
    # Up to 10 and from 10 on.
    creators = getattr(registry, "all_creators", None) or registry.plugin_creator_list
    if name not in {one.name for one in creators}:
        raise MistakeError(
            f"TensorRT {trt.__version__} has no plugin {name}",
            "leave --nms_in_engine out: boxes are then suppressed by Roadmark's own kernels",
        )


def _log_of(trt: Any) -> Any:
    class Log(trt.ILogger):
        """Keeps what is wrong."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.problems = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.problems.append(message)

        def reason(self) -> str:
            lines = [one.strip().splitlines()[0] for one in self.problems if one.strip()]
            return lines[-1] if lines else "it does not say why"

    return Log()


def _parse(parser: Any, path: str) -> None:
    if parser.parse_from_file(path):
        return
    problems = [parser.get_error(number).desc() for number in range(parser.num_errors)]
    first = problems[0].strip().splitlines()[0] if problems else "it does not say why"
    raise MistakeError("TensorRT cannot read it: " + first, "leave --format=tensorrt out")


def _add_profile(builder: Any, network: Any, config: Any, options: argparse.Namespace) -> None:
    """Says which batches may come; other sizes are known."""
    profile = builder.create_optimization_profile()
    free = False
    for number in range(network.num_inputs):
        tensor = network.get_input(number)
        sizes = tuple(tensor.shape)
        if sizes[0] != -1:
            continue
        free = True
        batches = (options.min_batch, options.opt_batch, options.max_batch)
        profile.set_shape(tensor.name, *[(batch,) + sizes[1:] for batch in batches])  # noqa: RUF005
    if free:
        config.add_optimization_profile(profile)


def _load_timing_cache(config: Any, path: str) -> None:
    content = b""
    if os.path.exists(path):
        with open(path, "rb") as file:
            content = file.read()
    cache = config.create_timing_cache(content)
    # One of another GPU or version is refused; then it begins anew.
    if not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _write(path: str, content: Any) -> None:
    temporary = f"{path}.part"
    with open(temporary, "wb") as file:
        file.write(content)
    os.replace(temporary, path)


def _peak_bytes() -> int:
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\s*(\d+) kB", file.read()).group(1)) * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
