"""In which precision OpenVINO is fastest on a processor at no cost that counts."""

from pathlib import Path

from roadmark.manifest import ONE_STAGE

# As Linux spells them in /proc/cpuinfo, the faster one first.
_COMPUTE_BF16 = ("amx_bf16", "avx512_bf16")
_CPUINFO = Path("/proc/cpuinfo")


def choose(architecture: str, cpuinfo: str, is_offered: bool) -> tuple[str, str]:
    """bf16 where the processor itself computes it, else fp32; int8 is never chosen for a user.

    Two-stage models stay in fp32: their first stage hands on corners in pixels, which the 8 bits of
    bf16 would round to 2 or 4 of them.

    Args:
        architecture: As in `PostprocessSpec`.
        cpuinfo: The text of /proc/cpuinfo; empty where there is none.
        is_offered: Whether OpenVINO says that it can compute in bf16 here.

    Returns:
        The precision, and why in a few words.
    """
    if architecture != ONE_STAGE:
        return "fp32", "fp32 because bf16 would move a two-stage model's boxes"
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "").split()
    native = [name for name in _COMPUTE_BF16 if name in flags]
    if not native:
        return "fp32", f"fp32 because this processor has neither {' nor '.join(_COMPUTE_BF16)}"
    if not is_offered:
        return "fp32", f"fp32 because openvino does not use this processor's {native[0]}"
    exact = "--precision=fp32 gives the stock scores"
    return "bf16", f"bf16 because this processor has {native[0]}; {exact}"


def cpuinfo() -> str:
    """The text of /proc/cpuinfo; empty on systems that have none."""
    try:
        return _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
