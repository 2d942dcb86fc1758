"""Power that processors and GPUs say they take. Needs the standard library alone."""

import subprocess
import time
from pathlib import Path

_PROCESSORS = Path("/sys/class/powercap")
_QUERY_TIMEOUT_S = 5


class Meter:
    """Energy from its making on.

    Linux tells that of a processor's package ("power capping framework", Intel and AMD), mostly to
    root alone. It is of all that runs there, not of one process.

    Args:
        folder: Where Linux tells it.
    """

    def __init__(self, folder: Path = _PROCESSORS) -> None:
        self._folder = folder
        self._before, self._begin = self._microjoules(), time.monotonic()

    def watts(self) -> float | None:
        """On average since it was made; None where nobody tells, or a counter began anew."""
        after, seconds = self._microjoules(), time.monotonic() - self._begin
        if self._before is None or after is None or after < self._before or not seconds:
            return None
        return (after - self._before) / 1e6 / seconds

    def _microjoules(self) -> int | None:
        try:
            packages = sorted(self._folder.glob("intel-rapl:[0-9]"))
            return sum(int((one / "energy_uj").read_text()) for one in packages) or None
        except (OSError, ValueError):
            return None


def gpu_watts() -> float | None:
    """What the first NVIDIA GPU takes at the moment; None where nobody tells."""
    command = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits", "--id=0"]
    try:
        said = subprocess.run(
            command, capture_output=True, text=True, timeout=_QUERY_TIMEOUT_S, check=True
        )
        return float(said.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
