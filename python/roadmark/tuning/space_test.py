"""What can be searched, and what is said about the rest before anything starts."""

from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.tuning import space
from roadmark.tuning.space import Search

_CONFIG = Path(__file__).resolve().parents[3] / "configs" / "quickstart.config"


def test_every_kind():
    assert space.parse(
        ["a.b=loguniform(1e-4, 1e-2)", "c=uniform(0,0.5)", "d=randint(1,8)", "e=choice(x, 2)"]
    ) == (
        Search("a.b", "loguniform", (1e-4, 1e-2)),
        Search("c", "uniform", (0.0, 0.5)),
        Search("d", "randint", (1, 8)),
        Search("e", "choice", ("x", "2")),
    )


def test_the_upper_end_of_randint_is_left_out():
    (whole,) = space.parse(["d=randint(1,8)"])
    assert whole.extremes() == (1, 7)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ([], "found nothing to search"),
        (["a"], "found no field and values"),
        (["=uniform(0,1)"], "found no field and values"),
        (["a=uniform"], "found no field and values"),
        (["a=normal(0,1)"], "found 'normal'"),
        (["a=uniform(1,0)"], "found '1,0', expected two rising numbers"),
        (["a=uniform(0,inf)"], "expected two rising numbers"),
        (["a=uniform(0,1,2)"], "expected two rising numbers"),
        (["a=randint(0.5,2)"], "expected two rising numbers"),
        (["a=loguniform(0,1)"], "found 0, expected more than 0"),
        (["a=choice()"], "an empty choice"),
        (["a=choice(b,b)"], "or one twice"),
        (["a=uniform(0,1)", "a=choice(1,2)"], "the field is given twice"),
    ],
)
def test_mistakes(texts, says):
    with pytest.raises(UserError) as refused:
        space.parse(texts)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train_config.batch_sizes=randint(1,8)", "batch_size"),
        ("train_config.batch_size=uniform(0.5,8)", "batch_size"),
        ("train_config.batch_size=choice(4,many)", "many"),
        ("recipe.weather.fog=uniform(0,2)", "fog: found '2', expected a number from 0 to 1"),
        ("recipe.weather.snow=uniform(0,1)", "no field 'snow'"),
    ],
)
def test_fields_that_cannot_be_set(text, says):
    with pytest.raises(UserError) as refused:
        space.check(space.parse([text]), _CONFIG, None, ())
    assert says in str(refused.value)


def test_fields_that_can():
    texts = ["train_config.batch_size=choice(4,8)", "recipe.weather.fog=uniform(0,0.5)"]
    overrides = ("train_config.num_steps=7", "recipe.accumulate=2")
    config = space.check(space.parse(texts), _CONFIG, None, overrides)
    assert config.train_config.num_steps == 7
