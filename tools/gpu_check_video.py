"""Runs the tests of the video path on the GPU, a part of gpu_check.py.

Argument: the folder of the extensions. Needs PyNvVideoCodec, cuda-python, pytest, and what
`roadmark.video` needs.
"""

import sys

import pytest

import roadmark.ops

roadmark.ops.__path__.append(sys.argv[1])

from roadmark.video import gpu_path_test  # noqa: E402


def main() -> int:
    """Runs the part; returns the exit code."""
    if gpu_path_test.REASON:
        print(f"GPU video: {gpu_path_test.REASON}")
        return 1
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--tb=short"]
    return int(pytest.main([*options, gpu_path_test.__file__]))


if __name__ == "__main__":
    sys.exit(main())
