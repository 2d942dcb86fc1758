"""Pipeline configs: reading, `--set`, the flags' setters, and the files in configs/."""

from pathlib import Path

import pytest

from roadmark import locations
from roadmark.errors import UserError
from roadmark.odapi import pipeline_config
from roadmark.testing import street_data

_CONFIGS = Path(__file__).resolve().parents[3] / "configs"
_QUICKSTART = _CONFIGS / "quickstart.config"


@pytest.fixture
def config() -> pipeline_config.TrainEvalPipelineConfig:
    return pipeline_config.load(_QUICKSTART)


@pytest.mark.parametrize("path", sorted(_CONFIGS.glob("*.config")), ids=lambda path: path.stem)
def test_our_configs_agree_with_what_prepare_writes(path: Path) -> None:
    config = pipeline_config.load(path)
    train, (evaluation,) = config.train_input_reader, config.eval_input_reader
    assert pipeline_config.num_classes(config) == 3
    assert list(train.tf_record_input_reader.input_path) == [locations.TRAIN_RECORDS]
    assert list(evaluation.tf_record_input_reader.input_path) == [locations.EVAL_RECORDS]
    assert train.label_map_path == evaluation.label_map_path == str(locations.LABEL_MAP)
    assert not config.train_config.fine_tune_checkpoint
    optimizer = config.train_config.optimizer
    schedule = getattr(
        optimizer, optimizer.WhichOneof("optimizer")
    ).learning_rate.cosine_decay_learning_rate
    assert schedule.total_steps == config.train_config.num_steps
    assert 0 < schedule.warmup_steps < config.train_config.num_steps / 5


def test_there_are_configs_of_every_architecture() -> None:
    kinds = {
        pipeline_config.load(path).model.WhichOneof("model") for path in _CONFIGS.glob("*.config")
    }
    assert kinds == {"ssd", "faster_rcnn"}


@pytest.mark.parametrize("name", ["odapi_configs", "zoo_index"])
def test_reads_the_configs_of_others(name: str) -> None:
    paths = sorted(street_data.folder(name).rglob("*.config"))
    assert len(paths) >= 3
    for path in paths:
        assert pipeline_config.num_classes(pipeline_config.load(path)) in (3, 90)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "describes no model", id="empty"),
        pytest.param(
            "model {\n  sssd {}\n}",
            r"pipeline\.config:2:3: .*DetectionModel.* did you mean 'ssd'",
            id="an unknown field, with line, column and the near name",
        ),
        pytest.param(
            "model { experimental_model { name: 'x' } }",
            r"pipeline\.config: it describes the model as experimental_model",
            id="a model without a number of classes",
        ),
        pytest.param("model {\n ssd {", r"pipeline\.config:2", id="a brace that is not closed"),
        pytest.param(
            "train_config { batch_size: x }", r"pipeline\.config:1:28: ", id="a word for a number"
        ),
    ],
)
def test_load_refuses(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pipeline.config"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        pipeline_config.load(path)
    assert "\n" not in str(error.value)


def test_load_names_a_file_that_is_missing_or_not_a_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.config: no such pipeline config"):
        pipeline_config.load(tmp_path / "nowhere.config")
    with pytest.raises(UserError, match="cannot be read as a pipeline config"):
        pipeline_config.load(tmp_path)
    (tmp_path / "weights.config").write_bytes(b"\x80\xff")
    with pytest.raises(UserError, match="not text: byte 0"):
        pipeline_config.load(tmp_path / "weights.config")


def test_save_and_load_give_the_same(tmp_path: Path, config) -> None:
    pipeline_config.save(config, tmp_path / "copy.config")
    assert pipeline_config.load(tmp_path / "copy.config") == config


@pytest.mark.parametrize(
    ("assignment", "field", "expected"),
    [
        ("train_config.batch_size=8", "train_config.batch_size", 8),
        ("model.ssd.freeze_batchnorm=true", "model.ssd.freeze_batchnorm", True),
        (
            "train_config.gradient_clipping_by_norm=1e1",
            "train_config.gradient_clipping_by_norm",
            10,
        ),
        ("model.ssd.feature_extractor.type=a=b", "model.ssd.feature_extractor.type", "a=b"),
        ("model.ssd.feature_extractor.type='a b'", "model.ssd.feature_extractor.type", "a b"),
        (
            r"train_input_reader.label_map_path=C:\maps\é.pbtxt",
            "train_input_reader.label_map_path",
            r"C:\maps\é.pbtxt",
        ),
        (
            "train_config.fine_tune_checkpoint_version=V2",
            "train_config.fine_tune_checkpoint_version",
            2,
        ),
    ],
)
def test_override_sets_one_value(config, assignment: str, field: str, expected: object) -> None:
    value = pipeline_config.override(config, [assignment])
    for name in field.split("."):
        value = getattr(value, name)
    assert value == expected


@pytest.mark.parametrize("model", ["{}", "{experimental_model {}}"])
def test_a_model_that_was_taken_away_is_missed(config, model: str) -> None:
    changed = pipeline_config.override(config, [f"model={model}"])
    with pytest.raises(UserError, match=r"^model: it describes"):
        pipeline_config.num_classes(changed)


def test_override_leaves_the_original_alone(config) -> None:
    pipeline_config.override(config, ["train_config.batch_size=99"])
    assert config == pipeline_config.load(_QUICKSTART)


def test_override_of_lists(config) -> None:
    reader = "train_input_reader.tf_record_input_reader.input_path"
    changed = pipeline_config.override(
        config,
        [
            f"{reader}=a/train-*",
            f"{reader}[1]=b/train-*",
            "eval_input_reader[0].tf_record_input_reader.input_path=['a', 'b']",
            "train_config.data_augmentation_options=[]",
            "train_config.data_augmentation_options[0].random_horizontal_flip.probability=0.25",
            "train_config.data_augmentation_options[1]={random_rgb_to_gray {}}",
        ],
    )
    paths = changed.train_input_reader.tf_record_input_reader.input_path
    assert list(paths) == ["a/train-*", "b/train-*"]
    assert list(changed.eval_input_reader[0].tf_record_input_reader.input_path) == ["a", "b"]
    first, second = changed.train_config.data_augmentation_options
    assert first.random_horizontal_flip.probability == 0.25
    assert second.WhichOneof("preprocessing_step") == "random_rgb_to_gray"


def test_override_may_choose_another_optimizer(config) -> None:
    rate = "learning_rate.constant_learning_rate.learning_rate"
    changed = pipeline_config.override(
        config, [f"train_config.optimizer.momentum_optimizer.{rate}=0.5"]
    )
    optimizer = changed.train_config.optimizer
    assert optimizer.WhichOneof("optimizer") == "momentum_optimizer"
    assert optimizer.momentum_optimizer.learning_rate.constant_learning_rate.learning_rate == 0.5


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (
            "train_config.batchsize=8",
            "TrainConfig has no field 'batchsize'; did you mean 'batch_size'",
        ),
        ("trane_config.batch_size=8", "did you mean 'train_config'"),
        ("train_config.batch_size", "found no field=value"),
        ("=8", "found no field=value"),
        ("train_config..batch_size=8", "not the path of a field"),
        ("train_config.batch_size=abc", "found 'abc', expected a whole number"),
        ("train_config.batch_size=7.5", "found '7.5', expected a whole number"),
        ("train_config.batch_size=", "found '', expected a whole number"),
        ("train_config.batch_size=8 num_steps: 3", "expected a whole number"),
        ("model.ssd.freeze_batchnorm=maybe", "found 'maybe', expected true or false"),
        ("train_config.fine_tune_checkpoint_version=V3", "expected one of UNKNOWN, V1, V2"),
        ("train_config.batch_size.x=8", "batch_size is a whole number .* has no fields"),
        ("train_config[0].batch_size=8", "train_config is not a list"),
        ("train_config.batch_size[0]=8", "batch_size is not a list"),
        (
            "eval_input_reader.shuffle=true",
            r"a list of 1; say which, such as eval_input_reader\[0\]",
        ),
        ("eval_input_reader[2].shuffle=true", "has 1 elements, found index 2"),
        ("model.faster_rcnn.num_classes=3", "the model of this config is ssd, not faster_rcnn"),
        ("model.ssd=3", "expected a Ssd in braces"),
        (
            "train_config.data_augmentation_options[0]={random_rgb_to_graz {}}",
            'expected a PreprocessingStep in braces .*no field named "random_rgb_to_graz"',
        ),
        (
            "train_input_reader.tf_record_input_reader.input_path[0]=['a', 'b']",
            "found 2 values",
        ),
    ],
)
def test_override_refuses(config, assignment: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        pipeline_config.override(config, [assignment])
    assert str(error.value).startswith("--set ")
    assert "\n" not in str(error.value)


def test_setters_of_the_flags(config) -> None:
    pipeline_config.set_train_records(config, "a/*")
    pipeline_config.set_eval_records(config, "b/*")
    pipeline_config.set_label_map(config, "c.pbtxt")
    pipeline_config.set_batch_size(config, 5)
    pipeline_config.set_fine_tune_checkpoint(config, "zoo/ckpt-0")
    assert list(config.train_input_reader.tf_record_input_reader.input_path) == ["a/*"]
    assert list(config.eval_input_reader[0].tf_record_input_reader.input_path) == ["b/*"]
    assert config.train_input_reader.label_map_path == "c.pbtxt"
    assert config.eval_input_reader[0].label_map_path == "c.pbtxt"
    assert config.train_config.batch_size == 5
    assert config.train_config.fine_tune_checkpoint == "zoo/ckpt-0"
    assert config.train_config.fine_tune_checkpoint_type == "detection"
    assert config.train_config.fine_tune_checkpoint_version == 2


_NAMES = ["extractor/conv1/kernel", "extractor/conv2/kernel", "head/kernel"]


@pytest.mark.parametrize(
    ("update", "freeze", "trained"),
    [
        ([], [], [True, True, True]),
        ([], ["extractor/"], [False, False, True]),
        ([], [".*conv1", ".*conv2"], [False, False, True]),
        (["extractor"], [".*conv1"], [False, True, False]),
        ([], ["extractor/conv1"], [False, True, True]),
    ],
    ids=["all", "a scope", "two patterns", "both fields", "one layer"],
)
def test_what_is_trained(config, update, freeze, trained):
    config.train_config.update_trainable_variables.extend(update)
    config.train_config.freeze_variables.extend(freeze)
    assert pipeline_config.trained(config, _NAMES) == trained


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        (
            "conv1",
            r"'conv1', which matches no variable; names look like extractor/conv1/kernel, ",
        ),
        ("(", r"freeze_variables: found '\(', no regular expression"),
        (".*", r"leave nothing to train"),
    ],
    ids=["not from the start", "no pattern", "everything"],
)
def test_what_cannot_be_frozen_is_refused(config, freeze, message):
    config.train_config.freeze_variables.append(freeze)
    with pytest.raises(UserError, match=message):
        pipeline_config.trained(config, _NAMES)
