"""Recipes: read, overridden, written, and every way to get one wrong."""

from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.training import recipe
from roadmark.training.recipe import Recipe, Weather

_SHIPPED = sorted((Path(__file__).resolve().parents[3] / "configs" / "recipes").glob("*.yaml"))


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "assignments", "expected"),
    [
        ("", (), Recipe()),
        ("accumulate: 4\n", (), Recipe(accumulate=4)),
        ("weather:\n  fog: 0.25\n", (), Recipe(weather=Weather(fog=0.25))),
        ("weather: {fog: 1}", ("recipe.weather.rain=0.5",), Recipe(weather=Weather(1.0, 0.5))),
        ("accumulate: 4", ("recipe.accumulate=2",), Recipe(accumulate=2)),
    ],
    ids=["empty", "a number", "a section", "a section and --set", "--set wins"],
)
def test_reads_and_overrides(tmp_path, text, assignments, expected):
    assert recipe.load(_write(tmp_path, text), assignments) == expected


def test_what_is_written_reads_as_it_was(tmp_path):
    mine = Recipe(accumulate=3, precision="bf16", weather=Weather(0.1, 0.2, 0.3, 0.4))
    recipe.save(mine, tmp_path / "saved.yaml")
    assert recipe.load(tmp_path / "saved.yaml") == mine


@pytest.mark.parametrize("path", _SHIPPED, ids=lambda path: path.stem)
def test_ours_are_sound_and_do_something(path):
    assert recipe.load(path) != Recipe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acumulate: 4", r"recipe.yaml:1: no field 'acumulate'; did you mean 'accumulate'"),
        ("accumulate: 1\nweather:\n  snow: 1", r"recipe.yaml:3: no field 'snow'; there are fog"),
        ("accumulate: 1.5", r":1: accumulate: found '1.5', expected a whole number from 1"),
        ("accumulate: 0", r":1: accumulate: found '0', expected a whole number from 1"),
        ("weather:\n  fog: 2", r":2: fog: found '2', expected a number from 0 to 1"),
        ("weather:\n  fog: true", r":2: fog: found 'true', expected a number"),
        ("weather:\n  fog:", r":2: fog: found '', expected a number"),
        ("precision: fp8", r":1: precision: found 'fp8', expected one of fp32, bf16, fp16"),
        ("schedule: {kind: cosine}", r":1: kind: found 'cosine', expected one of config, one"),
        ("ema: 1", r":1: ema: found '1', expected a number from 0 to 0.99999"),
        ("pruning:\n  sparsity: 1", r":2: sparsity: found '1', expected a number from 0 to 0.99"),
        ("weather: [1]", r":1: expected fields"),
        ("a: [", r"recipe.yaml:\d: not YAML"),
    ],
    ids=["unknown", "unknown inside", "fraction", "too low", "too high", "truth", "nothing",
         "precision", "schedule", "ema", "sparsity",
         "a list", "no YAML"],
)  # fmt: skip
def test_wrong_files_are_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        recipe.load(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("recipe.weather.fog", "no field=value"),
        ("recipe.weather.fogg=1", "no field 'fogg'; did you mean 'fog'"),
        ("recipe.weather=1", "weather is not the name of one value"),
        ("recipe.accumulate.x=1", "accumulate is not the name of one value"),
        ("recipe.accumulate=", "found 'nothing', expected a whole number"),
        ("recipe.accumulate=[", r"found '\[', no value"),
    ],
)
def test_wrong_assignments_are_refused(assignment, message):
    with pytest.raises(UserError, match=message):
        recipe.load(None, [assignment])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.yaml: cannot be read"):
        recipe.load(tmp_path / "none.yaml")
