import pytest

from roadmark.errors import UserError
from roadmark.odapi import trained_model

CONFIG = """
model { ssd { num_classes: 2 } }
train_input_reader { label_map_path: "%s" tf_record_input_reader { input_path: "t-*" } }
eval_input_reader { label_map_path: "elsewhere" tf_record_input_reader { input_path: "v-*" } }
"""
ONE = "item { id: 1 name: 'vehicle' }\n"
FOUR = "item { id: 4 name: 'cyclist' }\n"


@pytest.fixture
def run(tmp_path):
    run = tmp_path / "runs" / "street"
    (run / "checkpoints").mkdir(parents=True)
    for step in (5, 40):
        (run / "checkpoints" / f"ckpt-{step}.index").touch()
        (run / "checkpoints" / f"ckpt-{step}.data-00000-of-00001").touch()
    (tmp_path / "labels.pbtxt").write_text(ONE)
    (run / "pipeline.config").write_text(CONFIG % (tmp_path / "labels.pbtxt"))
    (run / "label_map.pbtxt").write_text(ONE)
    return run


def test_a_run_names_everything(run):
    model = trained_model.find(run)
    assert model.name == "street"
    assert model.checkpoint == run / "checkpoints" / "ckpt-40"
    assert model.label_map.names == {1: "vehicle"}
    assert model.config.eval_input_reader[0].label_map_path == str(run / "label_map.pbtxt")
    assert trained_model.eval_records(model) == "v-*"


def test_an_older_checkpoint_of_a_run(run):
    older = run / "checkpoints" / "ckpt-5"
    assert trained_model.find(run, checkpoint=older).checkpoint == older


def test_a_config_and_a_checkpoint_without_a_run(run):
    config = run.rename(run.with_name("moved")) / "pipeline.config"
    model = trained_model.find(checkpoint=config.parent, config=config)
    assert model.name == "pipeline"
    assert model.label_map_path.name == "labels.pbtxt"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(
            lambda run: run.rename(run.with_name("gone")), "no such run folder", id="no run"
        ),
        pytest.param(
            lambda run: [path.unlink() for path in (run / "checkpoints").iterdir()],
            "no checkpoint in this folder",
            id="a run without a checkpoint",
        ),
        pytest.param(
            lambda run: (run / "label_map.pbtxt").write_text(ONE + FOUR),
            "label_map.pbtxt: found id 4 (cyclist), but num_classes is 2",
            id="a label map of another model",
        ),
        pytest.param(
            lambda run: (run / "pipeline.config").unlink(), "pipeline.config", id="no config"
        ),
        pytest.param(
            lambda run: (run / "manifest.json").write_text(
                '{"schema_version": 1, "weights_sha256": ""}'
            ),
            "is an exported model, expected a run folder",
            id="an export",
        ),
    ],
)
def test_what_is_missing_is_named(run, damage, says):
    damage(run)
    with pytest.raises(UserError) as refused:
        trained_model.find(run)
    assert says in str(refused.value)


def test_a_checkpoint_named_without_its_step(run):
    (run / "best.index").touch()
    with pytest.raises(UserError, match="best: the name does not end with the training step"):
        trained_model.find(run, checkpoint=run / "best")


def test_neither_run_nor_checkpoint():
    with pytest.raises(UserError, match="give --model_dir, or --config and --checkpoint"):
        trained_model.find(config="x.config")
