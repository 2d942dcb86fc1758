"""What a SageMaker container runs: a training job, or an endpoint.

    bazel run //python:sagemaker -- train
    bazel run //python:sagemaker -- serve
    bazel run //python:sagemaker -- train --root=FOLDER        the same, with FOLDER for /opt/ml

train reads input/config/hyperparameters.json and the channels in input/data, trains into
checkpoints, from where an interrupted job goes on, and exports to model/export. serve serves the
model that is unpacked in model. //python:launch makes the requests; docs/sagemaker.md tells the
rest.
"""

from pathlib import Path

from absl import flags

from roadmark import app
from roadmark.serving import sagemaker_serving, sagemaker_training

_ROOT = flags.DEFINE_string(
    "root", str(sagemaker_training.ROOT), "What SageMaker has laid out, on this machine."
)


def main(command: str) -> int:
    """Runs one command; see the module's text."""
    root = Path(_ROOT.value)
    if command == "train":
        return sagemaker_training.run(root)
    sagemaker_serving.run(root)
    return 0


if __name__ == "__main__":
    app.run(main, ("train", "serve"))
