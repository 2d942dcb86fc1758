"""Whether this machine has an NVIDIA driver that works."""

import subprocess
import sys

_TIMEOUT_S = 30
# `cuInit` of a driver that does not fit its kernel module may end the process.
_PROBE = """
import ctypes
try:
    driver = ctypes.CDLL("libcuda.so.1")
    error, count = driver.cuInit(0), ctypes.c_int()
except (OSError, AttributeError) as problem:
    raise SystemExit(f"no NVIDIA driver ({problem})")
if error:
    raise SystemExit(f"an NVIDIA driver that does not start (cuInit: error {error})")
if driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
    raise SystemExit("an NVIDIA driver without a GPU")
"""


def what_is_missing() -> str:
    """What keeps this machine from using an NVIDIA GPU; empty when nothing does.

    Asks the driver's `cuInit` and `cuDeviceGetCount` (CUDA Driver API) in a child process.
    """
    try:
        probed = subprocess.run(
            [sys.executable, "-I", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"an NVIDIA driver that does not answer within {_TIMEOUT_S} seconds"
    if probed.returncode < 0:
        return f"an NVIDIA driver that ends the process (signal {-probed.returncode})"
    return probed.stderr.strip()
