"""The machine: processor, memory, disk, GPUs. Every question has an answer on every machine."""

import dataclasses
import os
import platform
import shutil
import subprocess
from pathlib import Path

# Instruction sets that make a difference here, as Linux spells them in /proc/cpuinfo.
_FEATURES = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
)
_GPU_QUERY = ("name", "memory.total", "driver_version", "compute_cap")
_QUERY_TIMEOUT_S = 15


@dataclasses.dataclass(frozen=True)
class Cpu:
    """The processor.

    Attributes:
        model: Its name.
        cores: How many this process may use.
        features: Instruction set to whether it is there.
    """

    model: str
    cores: int
    features: dict[str, bool]


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU.

    Attributes:
        name: Its name.
        memory_gb: Size of its memory in GB; None where the driver does not tell, as where a GPU
            shares the computer's memory.
        driver: Driver version.
        compute_capability: Such as `9.0`.
    """

    name: str
    memory_gb: float | None
    driver: str
    compute_capability: str


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the programs run on.

    Attributes:
        system: Operating system and kernel.
        cpu: The processor.
        memory_gb: All memory in GB.
        available_memory_gb: What programs can still get of it.
        free_disk_gb: Free space where the command runs.
        gpus: NVIDIA GPUs; empty without driver or GPU.
    """

    system: str
    cpu: Cpu
    memory_gb: float
    available_memory_gb: float
    free_disk_gb: float
    gpus: tuple[Gpu, ...]


def look() -> Machine:
    """Examines this machine."""
    memory = memory_from(_text("/proc/meminfo"))
    return Machine(
        system=f"{_distribution()}, {platform.system()} {platform.release()}",
        cpu=cpu_from(_text("/proc/cpuinfo"), len(os.sched_getaffinity(0))),
        memory_gb=memory[0],
        available_memory_gb=memory[1],
        free_disk_gb=round(shutil.disk_usage(".").free / 1e9, 1),
        gpus=gpus_from(_nvidia_smi()),
    )


def cpu_from(cpuinfo: str, cores: int) -> Cpu:
    """Reads the text of /proc/cpuinfo."""
    fields = dict(_field(line) for line in cpuinfo.splitlines() if ":" in line)
    flags = set(fields.get("flags", "").split())
    return Cpu(
        model=fields.get("model name", platform.machine()),
        cores=cores,
        features={name: name in flags for name in _FEATURES},
    )


def memory_from(meminfo: str) -> tuple[float, float]:
    """All and available GB, from the text of /proc/meminfo; zeros where it is missing."""
    fields = dict(_field(line) for line in meminfo.splitlines() if ":" in line)
    total, available = (
        int(fields.get(name, "0 kB").split()[0]) * 1024 / 1e9
        for name in ("MemTotal", "MemAvailable")
    )
    return round(total, 1), round(available, 1)


def gpus_from(csv: str) -> tuple[Gpu, ...]:
    """Reads what nvidia-smi prints for the query; lines of another form are left out."""
    rows = [[cell.strip() for cell in line.split(",")] for line in csv.splitlines()]
    return tuple(
        Gpu(name, _gpu_memory_gb(memory), driver, capability)
        for name, memory, driver, capability in (r for r in rows if len(r) == len(_GPU_QUERY))
    )


def _gpu_memory_gb(mebibytes: str) -> float | None:
    try:
        return round(float(mebibytes) * 2**20 / 1e9, 1)
    except ValueError:
        return None  # Such as [N/A].


def _nvidia_smi() -> str:
    command = ["nvidia-smi", f"--query-gpu={','.join(_GPU_QUERY)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_QUERY_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown distribution"
