"""What the demo does with a model that an earlier demo has trained; needs no TensorFlow."""

import dataclasses
from pathlib import Path

import pytest

from roadmark.demo import materials, steps
from roadmark.errors import UserError
from roadmark.odapi import checkpoints
from roadmark.training import run_config
from roadmark.training.options import TrainOptions
from roadmark.training.run_folder import RunFolder

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "quickstart.config"


@pytest.fixture
def finished(tmp_path, monkeypatch) -> steps.DemoOptions:
    """The options of a demo that has trained."""
    monkeypatch.chdir(tmp_path)
    options = steps.DemoOptions(
        config=CONFIG,
        run=Path("runs/demo"),
        num_images=20,
        seconds=0.2,
        steps=3,
        seed=1,
        restart=False,
    )
    materials.records(options.num_images, options.seed, options.run)
    prepared = run_config.prepare(TrainOptions(config=CONFIG, steps=options.steps))
    folder = RunFolder(options.run)
    batch_size = prepared.config.train_config.batch_size
    beginning = folder.beginning(options.seed, batch_size, prepared.index.digest())
    folder.begin(prepared.config, prepared.label_map_path, prepared.recipe, beginning)
    checkpoints.folder(options.run).mkdir()
    for name in ("ckpt-3.index", "ckpt-3.data-00000-of-00001"):
        (checkpoints.folder(options.run) / name).touch()
    return options


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        # Among the new scenes to validate on are some that the model was trained on.
        pytest.param({"num_images": 22}, "other training records", id="other scenes"),
        pytest.param({"seed": 2}, "began with --seed=1, found --seed=2", id="another seed"),
    ],
)
def test_a_model_of_other_scenes_is_not_shown_as_this_demos(finished, changes, problem):
    with pytest.raises(UserError, match=f"{problem}.*--restart"):
        steps.run(dataclasses.replace(finished, **changes))
    assert not (finished.run / "evaluation.json").exists()
