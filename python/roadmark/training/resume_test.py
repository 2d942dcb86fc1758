"""Which earlier runs are gone on with, left alone or removed; needs no TensorFlow."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.odapi import checkpoints
from roadmark.testing import small_records
from roadmark.training import loop, run_config
from roadmark.training.options import TrainOptions
from roadmark.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[3]
STEPS = 20


@pytest.fixture
def options(tmp_path) -> TrainOptions:
    """Of a run that is finished."""
    records = small_records.write(tmp_path / "records")
    options = TrainOptions(
        config=ROOT / "configs" / "quickstart.config",
        train_records=f"{records}/train-*",
        label_map=records / "label_map.pbtxt",
        model_dir=tmp_path / "run",
        steps=STEPS,
        batch_size=4,
    )
    prepared = run_config.prepare(options)
    folder = RunFolder(options.model_dir)
    beginning = folder.beginning(None, options.batch_size, prepared.index.digest())
    folder.begin(prepared.config, prepared.label_map_path, prepared.recipe, beginning)
    _checkpoint(options.model_dir, STEPS)
    return options


def _checkpoint(run: Path, step: int) -> Path:
    folder = checkpoints.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (f"ckpt-{step}.index", f"ckpt-{step}.data-00000-of-00001"):
        (folder / name).touch()
    return folder / f"ckpt-{step}"


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _refusal(options: TrainOptions, **changes) -> str:
    before = _files(options.model_dir)
    with pytest.raises(UserError) as raised:
        loop.train(dataclasses.replace(options, **changes))
    assert _files(options.model_dir) == before
    return str(raised.value)


def test_a_slip_in_the_fine_tune_checkpoint_does_not_cost_the_run(options):
    refusal = _refusal(options, restart=True, fine_tune_checkpoint="downloads/ckpt-O")
    assert refusal.startswith("downloads/ckpt-O: no such checkpoint")


@pytest.mark.parametrize("part", ["", "checkpoints", f"checkpoints/ckpt-{STEPS}"])
def test_a_fine_tune_checkpoint_that_restarting_would_remove_is_refused(options, part):
    refusal = _refusal(options, restart=True, fine_tune_checkpoint=f"{options.model_dir}/{part}")
    assert f"checkpoints/ckpt-{STEPS} is in the folder of this run" in refusal
    assert "another --model_dir" in refusal


def test_another_batch_size_is_refused(options):
    refusal = _refusal(options, batch_size=2)
    assert "began with --batch_size=4, found --batch_size=2" in refusal
    assert "give --batch_size=4 to resume it, or begin anew with --restart" in refusal


def test_a_finished_run_is_not_passed_off_as_trained_on_other_records(options, tmp_path):
    small_records.write(tmp_path / "records", count=8)
    refusal = _refusal(options)
    assert "began with other training records" in refusal
    assert "give those to resume it, or begin anew with --restart" in refusal


def test_the_same_records_in_another_folder_are_the_same(options, tmp_path):
    moved = (tmp_path / "records").rename(tmp_path / "moved")
    again = dataclasses.replace(
        options, train_records=f"{moved}/train-*", label_map=moved / "label_map.pbtxt"
    )
    assert loop.train(again).step == STEPS


def test_a_label_map_that_was_edited_meanwhile_is_refused(options, tmp_path):
    """Also where the records, which have no class names, agree with any."""
    records = small_records.write(
        tmp_path / "nameless",
        change=lambda image: dataclasses.replace(image, class_names=("",) * len(image)),
    )
    nameless = dataclasses.replace(
        options,
        train_records=f"{records}/train-*",
        label_map=records / "label_map.pbtxt",
        model_dir=tmp_path / "other",
    )
    prepared = run_config.prepare(nameless)
    folder = RunFolder(nameless.model_dir)
    beginning = folder.beginning(None, nameless.batch_size, prepared.index.digest())
    folder.begin(prepared.config, prepared.label_map_path, prepared.recipe, beginning)
    _checkpoint(nameless.model_dir, STEPS)
    text = nameless.label_map.read_text()
    nameless.label_map.write_text(text.replace("cyclist", "rider"))
    refusal = _refusal(nameless)
    assert refusal.startswith(f"{nameless.label_map}: id 3 is 'rider', but the run in")
    assert "began with 'cyclist' for it; put it back to resume" in refusal


def test_the_newest_checkpoint_is_told_by_its_step_and_not_by_the_clock(options):
    """The clock went back between the two."""
    for step, moment in ((STEPS, 1_000), (STEPS - 5, 2_000_000_000)):
        prefix = _checkpoint(options.model_dir, step)
        for path in prefix.parent.glob(f"{prefix.name}.*"):
            os.utime(path, (moment, moment))
    assert loop.train(options).checkpoint.name == f"ckpt-{STEPS}"


def test_evaluate_takes_the_flags_that_train_prints(options):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "python"), *sys.path])}
    flags = [
        f"--{name}={getattr(options, name)}"
        for name in ("config", "train_records", "label_map", "model_dir", "steps", "batch_size")
    ]
    train = subprocess.run(
        [sys.executable, "-P", str(ROOT / "python" / "train.py"), *flags],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    command, _, printed = train.stdout.splitlines()[-1].partition(" -- ")
    assert command == "next: bazel run //python:evaluate"
    parse = "import sys, evaluate; from absl import flags; flags.FLAGS(sys.argv)"
    model_dir = "print(flags.FLAGS.model_dir)"
    evaluate = subprocess.run(
        [sys.executable, "-c", f"{parse}; {model_dir}", *printed.split()],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert evaluate.stdout.strip() == str(options.model_dir)
