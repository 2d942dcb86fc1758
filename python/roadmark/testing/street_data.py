"""Real recordings for tests, where a folder with them exists beside the checkout."""

import os
from pathlib import Path

import pytest


def folder(name: str) -> Path:
    """The folder `name` of the street data, such as `waymo/val`; skips the test if it is absent.

    Raises:
        AssertionError: Under Bazel, the test does not list `@street_data//:<top folder>` as data.
    """
    root = _root()
    top = name.split("/", maxsplit=1)[0]
    assert "TEST_SRCDIR" not in os.environ or (root / "known" / top).exists(), (
        f"add @street_data//:{top} to the data of this test"
    )
    path = root / name
    if not path.is_dir():
        pytest.skip(f"real data: {name} is absent")
    return path


def _root() -> Path:
    if "TEST_SRCDIR" in os.environ:
        return Path(os.environ["TEST_SRCDIR"], "street_data")
    # pytest without Bazel: what tools/street_data.bzl links.
    checkout = Path(__file__).resolve().parents[3]
    return Path(os.environ.get("ROADMARK_DATA", checkout.parent / "shared" / "data"))
