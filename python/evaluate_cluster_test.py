"""//python:evaluate on a cluster: to the last digit what one machine finds."""

import json
from pathlib import Path

import pytest

from roadmark.testing import app_process, small_records

QUICKSTART = Path("tests/models/quickstart").resolve()
# Of how many pictures: two parts and a little more.
_COUNT = 140


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    small_records.write(folder / "records", _COUNT, shards=3)
    return folder


def _run(folder, out, *arguments):
    records = "--eval_records=records/train-*"
    answer = app_process.run("evaluate", folder, records, f"--out={out}", *arguments, timeout_s=300)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer


def _results(folder, suffix):
    found = json.loads((folder / f"evaluation{suffix}.json").read_text())
    # Times are of machines.
    for name in ("ms_per_image", "timed"):
        del found["cost"][name]
    return found, (folder / f"detections{suffix}.json").read_bytes()


def _require_equal(folder, suffix, *arguments):
    _run(folder, "alone", *arguments)
    answer = _run(folder, "shared", *arguments, "--cluster=local")
    assert "as_they_are/00002: 12 pictures" in answer.stdout
    assert _results(folder / "shared", suffix) == _results(folder / "alone", suffix)
    assert not list((folder / "shared").glob(".parts*")), "kept after all was done"


def test_an_exports_results_are_those_of_one_machine(folder):
    _require_equal(folder, "_export", f"--model={QUICKSTART / 'export'}", "--corruptions=jpeg")


def test_a_checkpoints_results_are_those_of_one_machine(folder):
    run = next(
        path.parent for path in QUICKSTART.rglob("pipeline.config") if "export" not in path.parts
    )
    _require_equal(folder, "", f"--model_dir={run}")


def test_what_is_missing_alone_is_looked_at_again(folder):
    """A damaged record fails its part; the others are kept for the next command."""
    damaged = folder / "damaged"
    small_records.write(damaged, _COUNT, shards=3)
    shard = max(damaged.glob("*.tfrecord"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    arguments = (
        f"--model={QUICKSTART / 'export'}", "--eval_records=damaged/train-*", "--cluster=local",
        "--out=again",
    )  # fmt: skip
    answer = app_process.run("evaluate", folder, *arguments)
    assert answer.returncode == 2
    first, second = (line for line in answer.stderr.splitlines() if line.startswith("error: "))
    assert "the checksum of the data does not match" in first
    assert "1 of 3 parts failed, so there are no metrics" in second
    finished = folder / "again" / ".parts_export" / ".finished" / "as_they_are"
    assert [path.name for path in sorted(finished.iterdir())] == ["00000.json", "00001.json"]
