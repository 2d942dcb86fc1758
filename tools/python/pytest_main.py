"""Runs pytest on the files named on the command line, as a Bazel test."""

import atexit
import os
import sys
import tempfile
from pathlib import Path


def _prepare_environment(scratch: Path) -> None:
    # Bazel leaves HOME unset and the real one read-only; Keras, matplotlib and Hypothesis write.
    os.environ["HOME"] = str(scratch / "home")
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(scratch / "hypothesis")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    Path(os.environ["HOME"]).mkdir(exist_ok=True)


def _arguments(scratch: Path) -> list[str]:
    arguments = [
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        "--strict-markers",
        "-ra",
        "--color=no",
        f"--rootdir={Path.cwd()}",
        f"--basetemp={scratch / 'pytest'}",
    ]
    if xml := os.environ.get("XML_OUTPUT_FILE"):
        arguments.append(f"--junitxml={xml}")
    if pattern := os.environ.get("TESTBRIDGE_TEST_ONLY"):  # bazel test --test_filter=...
        arguments += ["-k", pattern]
    if os.environ.get("TESTBRIDGE_TEST_RUNNER_FAIL_FAST") == "1":
        arguments.append("-x")
    return arguments


class _Shard:
    """Keeps every n-th test (Bazel's `shard_count`)."""

    def __init__(self, index: int, total: int):
        self._index = index
        self._total = total

    def pytest_collection_modifyitems(self, items: list) -> None:
        items[:] = items[self._index :: self._total]


def _shards() -> list[_Shard]:
    total = int(os.environ.get("TEST_TOTAL_SHARDS", 1))
    if total == 1:
        return []
    if status := os.environ.get("TEST_SHARD_STATUS_FILE"):
        Path(status).touch()  # tells Bazel that this runner understands sharding
    return [_Shard(int(os.environ["TEST_SHARD_INDEX"]), total)]


def main(argv: list[str]) -> int:
    """Returns pytest's exit code; a shard or filter that leaves nothing to run passes."""
    scratch = Path(os.environ.get("TEST_TMPDIR") or tempfile.mkdtemp(prefix="roadmark-test-"))
    _prepare_environment(scratch)
    import pytest

    shards = _shards()
    code = pytest.main(_arguments(scratch) + argv, plugins=shards)
    may_be_empty = shards or os.environ.get("TESTBRIDGE_TEST_ONLY")
    if code == pytest.ExitCode.NO_TESTS_COLLECTED and may_be_empty:
        return 0
    return int(code)


def _end(codes: list[int]) -> None:
    # As roadmark.app ends: an input pipeline that a test left behind may wait for ever
    # when the interpreter is taken apart.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(codes[-1])


if __name__ == "__main__":
    exit_codes = [1]
    # The first to be registered is the last to run.
    atexit.register(_end, exit_codes)
    exit_codes.append(main(sys.argv[1:]))
    sys.exit(exit_codes[-1])
