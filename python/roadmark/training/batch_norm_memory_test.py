"""When batch norm's running statistics are told to be too slow for a run."""

from pathlib import Path

import pytest

from roadmark.odapi import pipeline_config
from roadmark.training import batch_norm_memory

_CONFIGS = Path(__file__).resolve().parents[3] / "configs"
_BACKBONE = "model.ssd.feature_extractor.conv_hyperparams.batch_norm.decay"
_HEADS = (
    "model.ssd.box_predictor.weight_shared_convolutional_box_predictor"
    ".conv_hyperparams.batch_norm.decay"
)


def _notices(name: str, steps: int, *overrides: str) -> list[str]:
    config = pipeline_config.override(
        pipeline_config.load(_CONFIGS / f"{name}.config"),
        (f"train_config.num_steps={steps}", "train_config.fine_tune_checkpoint=", *overrides),
    )
    return batch_norm_memory.notices(config)


@pytest.mark.parametrize(
    ("steps", "overrides", "expected"),
    [
        pytest.param(
            500,
            (),
            [
                "after 500 steps",
                "0.0066 of the 1",
                "decay 0.99",
                "917 steps",
                f"--set {_BACKBONE}=0.98",
                f"--set {_HEADS}=0.98",
            ],
            id="a short run: 0.99^500; the decay that is offered ends below the bound",
        ),
        pytest.param(
            500,
            (f"{_BACKBONE}=0.98",),
            ["decay 0.99", f"--set {_HEADS}=0.98"],
            id="the field that is slow",
        ),
        pytest.param(20, (), ["0.82 of the 1", "=0.9"], id="never less than ten batches"),
    ],
)
def test_a_short_run_is_told(steps, overrides, expected):
    (line,) = _notices("effdet_d0", steps, *overrides)
    assert [part for part in expected if part not in line] == []
    if overrides:
        assert f"--set {_BACKBONE}" not in line


@pytest.mark.parametrize(
    ("name", "steps", "overrides"),
    [
        pytest.param("effdet_d0", 917, (), id="just long enough"),
        pytest.param("effdet_d0", 500, (f"{_BACKBONE}=0.98", f"{_HEADS}=0.98"), id="the cure"),
        pytest.param("quickstart", 3400, (), id="the demo"),
        pytest.param("effdet_d0", 500, ("model.ssd.freeze_batchnorm=true",), id="frozen"),
        pytest.param(
            "effdet_d0", 500, ("train_config.fine_tune_checkpoint=zoo/ckpt-0",), id="fine-tuning"
        ),
    ],
)
def test_no_line_where_nothing_is_wrong(name, steps, overrides):
    assert _notices(name, steps, *overrides) == []
