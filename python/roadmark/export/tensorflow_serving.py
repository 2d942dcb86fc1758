"""A stock SavedModel where TensorFlow Serving looks for it: `<models>/<model>/<version>`.

See "Serving a TensorFlow Model" and "Train and serve" in TensorFlow Serving's guide
(https://www.tensorflow.org/tfx/serving/serving_basic): it serves the highest version.
"""

import os
import shutil
from pathlib import Path

from roadmark.manifest import Manifest

FOLDER = "tensorflow_serving"


def write(models: Path, saved_model: Path, description: Manifest) -> Path:
    """Puts the files there a second time, without a second copy on the disk.

    Args:
        models: What `--model_base_path` names, but for the model; made when missing.
        saved_model: The stock SavedModel, on the same disk.
        description: What the manifest of the export says. The version is the training step, so that
            a later checkpoint is served in the place of an earlier one.

    Returns:
        The version's folder.
    """
    version = models / description.model / str(max(description.step, 1))
    shutil.copytree(saved_model, version, copy_function=os.link)
    return version
