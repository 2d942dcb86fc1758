import pytest

from roadmark.errors import UserError
from roadmark.inference import engine


@pytest.mark.parametrize(
    ("choice", "flag"),
    [
        ({"engine": "caffe"}, "--engine"),
        ({"engine": "TensorRT"}, "--engine"),
        ({"device": "abacus"}, "--device"),
        ({"precision": "fp1"}, "--precision"),
    ],
)
def test_unknown_choice_is_refused_before_anything_is_loaded(tmp_path, choice, flag):
    with pytest.raises(UserError, match=f"^{flag}: found '{next(iter(choice.values()))}'"):
        engine.load(tmp_path, description=None, **choice)
