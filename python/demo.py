"""Does the main job once, on street scenes that it renders itself.

  ./bazelw run //python:demo

It renders pictures and a clip, trains configs/quickstart.config, evaluates the model on scenes it
has not seen, exports it and annotates the clip; then it prints a histogram of box sizes, the
metrics, and where everything is: data/records, runs/demo and test.mp4 in the current folder.
How long that takes and what it reaches: docs/results/demo.md.

Repeat it to go on from where it was stopped. Records in data/records that something else made, and
another test.mp4, stay as they are; the demo's own then go to runs/demo.
"""

from pathlib import Path

from absl import flags

from roadmark import app, locations

_CONFIG = Path(__file__).parent.parent / "configs" / "quickstart.config"

_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", 2600, "Scenes to render, those to validate on included.", lower_bound=20
)
_SECONDS = flags.DEFINE_float("seconds", 8.0, "Length of the clip.", lower_bound=0.2)
_STEPS = flags.DEFINE_integer("steps", None, "Training steps; the config's by default.", 1)
_SEED = flags.DEFINE_integer("seed", 1, "Of scenes, clip and training.", lower_bound=0)
_RESTART = flags.DEFINE_bool("restart", False, "Train anew.")


def main() -> int:
    """Runs the command; see the module's text."""
    from roadmark.demo import steps

    return steps.run(
        steps.DemoOptions(
            config=_CONFIG,
            run=locations.RUNS / "demo",
            num_images=_NUM_IMAGES.value,
            seconds=_SECONDS.value,
            steps=_STEPS.value,
            seed=_SEED.value,
            restart=_RESTART.value,
        )
    )


if __name__ == "__main__":
    app.run(main)
