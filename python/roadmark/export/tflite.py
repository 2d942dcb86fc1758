"""The network alone for TensorFlow Lite (LiteRT), as telephones and small boards run it."""

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.inference.engine import AUTO, EXPORTED, Buffer, Engine, Spent, on_host
from roadmark.manifest import Manifest

TFLITE = "tflite"
# Of a SavedModel's one signature, and of the file made of it.
_SIGNATURE = "serving_default"


def convert(raw: Path, target: Path) -> None:
    """Writes a raw SavedModel as a TensorFlow Lite file, in fp32 and with its own operators alone.

    Args:
        raw: Its folder.
        target: The file.

    Raises:
        Exception: The converter's, for a network with operators that TensorFlow Lite has not.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(raw), [_SIGNATURE])
    target.write_bytes(converter.convert())


class Interpreter(Engine):
    """Runs a file with TensorFlow's own interpreter, to compare its results with the network's."""

    name = TFLITE
    device = "cpu"
    precision = "fp32"

    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        with warnings.catch_warnings():
            # That a later TensorFlow has it elsewhere is nothing to the user.
            warnings.simplefilter("ignore", UserWarning)
            self._run = tf.lite.Interpreter(str(path)).get_signature_runner(_SIGNATURE)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        description: Manifest,
        device: str = AUTO,
        precision: str = EXPORTED,
        threads: int = 0,
    ) -> "Interpreter":
        """See `Engine.load`; the processor alone, in fp32."""
        del device, precision, threads
        (stamp,) = [one for one in description.engines if one.engine == TFLITE]
        return cls(Path(folder) / stamp.path)

    def submit(self, inputs: Mapping[str, Buffer], stream: Any = None) -> dict[str, np.ndarray]:
        """See `Engine.submit`."""
        del stream
        return {name: on_host(buffer) for name, buffer in inputs.items()}

    def result(self, handle: dict[str, np.ndarray]) -> dict[str, Buffer]:
        """See `Engine.result`."""
        begin = time.perf_counter()
        outputs = self._run(**handle)
        self.spent = Spent(0.0, 1e3 * (time.perf_counter() - begin), 0.0)
        return outputs
