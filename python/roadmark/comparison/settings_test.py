"""Fields of configs and recipes, one by one."""

from roadmark.comparison import settings
from roadmark.evaluation import set_ups
from roadmark.evaluation.set_ups import ABSENT

_ADAM = "train_config { batch_size: 8 optimizer { adam_optimizer {} } "
_SSD = "model { ssd { num_classes: 3 } } "


def _fields(folder, config, recipe="{}"):
    folder.mkdir()
    (folder / "pipeline.config").write_text(_SSD + config)
    (folder / "recipe.yaml").write_text(recipe)
    return settings.of_folder(folder)


def test_every_field_by_its_path(tmp_path):
    found = _fields(
        tmp_path / "a",
        _ADAM + "data_augmentation_options { random_horizontal_flip {} } "
        "data_augmentation_options { random_adjust_hue { max_delta: 0.1 } } "
        "freeze_variables: ['a', 'b'] fine_tune_checkpoint_version: V2 }",
        "accumulate: 2\nweather:\n  fog: 0.25\n",
    )
    assert found == {
        "model.ssd.num_classes": "3",
        "train_config.batch_size": "8",
        "train_config.data_augmentation_options[0].random_horizontal_flip": "{}",
        "train_config.data_augmentation_options[1].random_adjust_hue.max_delta": "0.1",
        "train_config.optimizer.adam_optimizer": "{}",
        "train_config.freeze_variables": "a, b",
        "train_config.fine_tune_checkpoint_version": "V2",
        "recipe.accumulate": "2",
        "recipe.weather.fog": "0.25",
    }


def test_what_differs(tmp_path):
    runs = [
        _fields(tmp_path / "a", _ADAM + "}", "weather: {fog: 0.5}"),
        {},
        _fields(tmp_path / "b", "train_config { batch_size: 4 optimizer { adam_optimizer {} } }"),
    ]
    assert [(one.path, one.values) for one in set_ups.differing(runs)] == [
        ("train_config.batch_size", ["8", ABSENT, "4"]),
        ("recipe.weather.fog", ["0.5", ABSENT, ABSENT]),
    ]


def test_one_set_up_differs_from_nothing(tmp_path):
    assert set_ups.differing([_fields(tmp_path / "a", _ADAM + "}"), {}]) == []
