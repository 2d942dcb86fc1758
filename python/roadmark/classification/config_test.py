"""Configs of classifiers: what is read, and that every mistake names file, line and key."""

from pathlib import Path

import pytest

from roadmark.classification import config
from roadmark.errors import UserError

_CONFIGS = Path(__file__).resolve().parents[3] / "configs"

_GOOD = """\
model:
  weights: none
  input_shape: [64, 96, 3]
  classes: 10
  dropout_rate: 0.1
  data_aug_layer:
    random_flip: {mode: horizontal}
    random_rotation: {factor: 0.1}
    random_zoom: {height_factor: 0.2, width_factor: 0.1}
    random_height: 0.3
    random_width: 0.2
compile:
  optimizer:
    sgd: {learning_rate: 0.01}
  loss: categorical_crossentropy
  metrics: [accuracy]
"""


def _load(tmp_path, text):
    path = tmp_path / "c.yml"
    path.write_text(text)
    return config.load(path)


def test_the_reports_keys_work_as_written(tmp_path):
    read = _load(tmp_path, _GOOD)
    assert (read.weights, read.classes, read.input_shape) == ("none", 10, (64, 96, 3))
    assert read.augmentation == config.Augmentation("horizontal", 0.1, 0.2, 0.1, 0.3, 0.2)
    assert (read.optimizer, read.momentum, read.phases[0].learning_rate) == ("sgd", 0.9, 0.01)


@pytest.mark.parametrize("name", ["cars_resnet50", "cars_small"])
def test_our_configs_are_sound(name):
    assert config.load(_CONFIGS / f"{name}.yml").phases


def test_phases_follow_one_another():
    read = config.load(_CONFIGS / "cars_resnet50.yml")
    assert [read.phase_of(epoch)[1].name for epoch in (0, 7, 8, 32, 33, 42)] == [
        "head", "head", "all", "all", "finish", "finish"
    ]  # fmt: skip
    with pytest.raises(IndexError):
        read.phase_of(read.epochs)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  classes: 10\n", "", "c.yml:2: model.classes: missing, expected a whole number"),
        ("classes: 10", "classes: ten", "c.yml:4: model.classes: found 'ten', expected a whole"),
        ("classes: 10", "classes: 1", "c.yml:4: model.classes: found '1'"),
        ("classes: 10", "clases: 10", "model.classes: missing"),
        ("dropout_rate", "drop_out_rate", "c.yml:5: model.drop_out_rate: found an unknown key"),
        ("dropout_rate", "drop_out_rate", "did you mean 'dropout_rate'?"),
        ("[64, 96, 3]", "[64, 96]", "c.yml:3: model.input_shape: found a list, expected 3"),
        ("[64, 96, 3]", "[64, 96, 1]", "c.yml:3: model.input_shape: found [64, 96, 1]"),
        ("{factor: 0.1}", "{factor: much}", "model.data_aug_layer.random_rotation.factor"),
        ("{factor: 0.1}", "{facter: 0.1}", "random_rotation.facter: found an unknown key"),
        ("random_height", "random_hight", "c.yml:10: model.data_aug_layer.random_hight"),
        ("sgd:", "rmsprop:", "c.yml:13: compile.optimizer: found rmsprop, expected adam or sgd"),
        ("learning_rate: 0.01", "learning_rate: fast", "compile.optimizer.sgd.learning_rate"),
        ("loss: categorical_crossentropy", "loss: hinge", "c.yml:15: compile.loss: found 'hinge'"),
        ("[accuracy]", "accuracy", "compile.metrics: found 'accuracy', expected a list of"),
        ("compile:", "phases: 3\ncompile:", "c.yml:12: phases: found '3', expected a list"),
        ("compile:", "phases: [{freeze: none}]\ncompile:", "phases[0].epochs: missing"),
        ("compile:", "data: {image_size: [32, 32]}\ncompile:", "expected [64, 96] as model.input"),
        ("compile:", "data: {validation_split: 0.2}\ncompile:", "prepare --val_fraction"),
        ("compile:", "model: {}\ncompile:", "model: found a second time"),
        ("model:\n", "model: [\n", "expected YAML"),
        ("model:\n", "backbone: 3\nmodel:\n", "c.yml:1: backbone: found an unknown key"),
        ("  weights: none", "  backbone: small_cnn", "weights: found imagenet, which small_cnn"),
        ("metrics: [accuracy]", "label_smoothing: 2", "compile.label_smoothing: found '2'"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_line_and_key(tmp_path, old, new, says):
    assert old in _GOOD
    with pytest.raises(UserError) as error:
        _load(tmp_path, _GOOD.replace(old, new))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        config.load(tmp_path / "none.yml")
