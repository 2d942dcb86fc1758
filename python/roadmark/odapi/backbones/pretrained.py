"""Makes a checkpoint of a classifier's weights, for a config to begin from.

    bazel run //python/roadmark/odapi/backbones:pretrained -- --backbone=mobilenet_v3_large \
        --weights=weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5 --out=data/mobilenet_v3/ckpt

Then, in train_config: fine_tune_checkpoint: "data/mobilenet_v3/ckpt-0",
fine_tune_checkpoint_type: "classification", fine_tune_checkpoint_version: V2.
docs/own_models.md tells the rest.
"""

from pathlib import Path

from absl import flags

from roadmark import app
from roadmark.errors import UserError
from roadmark.odapi.backbones import registry

_BACKBONE = flags.DEFINE_enum("backbone", None, sorted(registry.BACKBONES), "Which.", required=True)
_WEIGHTS = flags.DEFINE_string("weights", None, "Keras' file of weights, no top.", required=True)
_WIDTH = flags.DEFINE_float("depth_multiplier", 1.0, "As in the config.", 0.1, 4.0)
_LOWEST = flags.DEFINE_integer("min_level", 3, "As in the config.", 2, 5)
_OUT = flags.DEFINE_string("out", None, "Prefix of the checkpoint.", required=True)


def main() -> int:
    """Writes the checkpoint `<out>-0`."""
    weights = Path(_WEIGHTS.value)
    if not weights.is_file():
        raise UserError("--weights", f"{weights}: no such file", "download it by other means")
    prefix = save(_BACKBONE.value, weights, _WIDTH.value, _LOWEST.value, Path(_OUT.value))
    print(f'wrote {prefix}; use it as fine_tune_checkpoint: "{prefix}"')
    return 0


def save(name: str, weights: Path, width: float, lowest: int, out: Path) -> Path:
    """Writes a checkpoint that `fine_tune_checkpoint_type: "classification"` restores.

    Args:
        name: Of the backbone.
        weights: Keras' file for it.
        width: The config's `depth_multiplier`.
        lowest: The config's `min_level`.
        out: Prefix; `-0` is added.

    Returns:
        The checkpoint's prefix.

    Raises:
        UserError: The file does not hold weights of this backbone.
    """
    from roadmark.odapi.backbones import extractors

    backbone = registry.BACKBONES[name]
    try:
        model = extractors.cut(backbone, str(weights), width, lowest, max(backbone.levels))
    except (ValueError, OSError) as error:
        problem = " ".join(str(error).split())[:160]
        raise UserError(
            weights, f"no weights of {name}: {problem}", "give its no_top file"
        ) from None
    import tensorflow as tf

    out.parent.mkdir(parents=True, exist_ok=True)
    return Path(tf.train.Checkpoint(feature_extractor=model).write(f"{out}-0"))


if __name__ == "__main__":
    app.run(main)
