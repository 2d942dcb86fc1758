"""An exported classifier, run by ONNX Runtime without Keras or TensorFlow in the process."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadmark.classification import manifest, pictures
from roadmark.classification.manifest import ClassifierManifest
from roadmark.errors import UserError


class Classifier:
    """Pictures in, probabilities out.

    Args:
        folder: As `exporting.export` writes it.
        threads: CPU threads to use, 0 for one per core.

    Raises:
        UserError: The folder is not whole, or not a classifier's.

    Attributes:
        manifest: What the folder says about the model.

    Example:
        classifier = Classifier("runs/classify/cars_small/export")
        probabilities = classifier.classify([image])
    """

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        import onnxruntime

        self.manifest: ClassifierManifest = manifest.load(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        path = Path(folder) / manifest.ONNX_FILE
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own kinds have no public base.
            raise UserError(path, f"cannot be loaded: {error}", "export it again") from None

    def classify(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Classifies pictures in one batch.

        Args:
            images: uint8 `[H, W, 3]` RGB each; sizes may differ.

        Returns:
            float32 `[N, classes]`, each row summing to 1.
        """
        if not images:
            return np.zeros((0, len(self.manifest.classes)), np.float32)
        size = (self.manifest.height, self.manifest.width)
        batch = np.stack([pictures.fitted(image, *size) for image in images])
        return self.run(batch.astype(np.float32))

    def run(self, batch: np.ndarray) -> np.ndarray:
        """float32 `[N, classes]` of float32 `[N, height, width, 3]`, RGB of 0 to 255."""
        facts = self.manifest
        (found,) = self._session.run([facts.output_name], {facts.input_name: batch})
        return found
