"""Opens the TensorFlow Object Detection API on today's TensorFlow.

    from roadmark.odapi import door

    door.open()
    from object_detection.builders import model_builder

The OD API needs three things: the Keras 2 that it was written for (`tf_keras`), its generated
protocol buffers in a form that today's protobuf runs (`protos`), and a few lines of its sources
brought up to date (`source_edits`). Neither TensorFlow nor NumPy is patched.
"""

import contextlib
import ctypes
import logging
import os
import re
import sys
import warnings
from pathlib import Path

from roadmark import tensorflow_logs
from roadmark.errors import UserError
from roadmark.odapi import protos, source_edits

_LEGACY_KERAS = "TF_USE_LEGACY_KERAS"

_NOISY_PACKAGES = re.compile(r"[\\/](object_detection|official|tf_slim|tf_keras)[\\/]")

# TensorFlow's words about calls it discourages; through autograph they name TensorFlow's own files.
_DEPRECATION = re.compile(r"^From .* is deprecated and will be removed", re.DOTALL)

# void DataTypeUnsupportedWarning(const DataType&) of tensorflow/core/util/util.cc, and DT_BOOL.
_ONEDNN_NOTICE = "_ZN10tensorflow26DataTypeUnsupportedWarningERKNS_8DataTypeE"
_DT_BOOL = 10


def open() -> None:  # noqa: A001 - the door's only verb
    """Imports TensorFlow with Keras 2 and lets `object_detection` be imported.

    Calling it again changes nothing. It prints nothing; TensorFlow's C++ code keeps to errors,
    unless the environment sets TF_CPP_MIN_LOG_LEVEL.

    Raises:
        UserError: TensorFlow has already been imported with Keras 3.
    """
    _refuse_keras_3()
    os.environ[_LEGACY_KERAS] = "1"
    protos.install()
    source_edits.install()
    _hush_python()
    if "tensorflow" not in sys.modules:
        with tensorflow_logs.errors_only():
            import tensorflow

            _spend_onednn_notice(Path(tensorflow.__file__).parent)


def _refuse_keras_3() -> None:
    # TensorFlow decides which Keras it shows at its own import, and cannot change its mind.
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or getattr(tensorflow, "_tf_uses_legacy_keras", True):
        return
    raise UserError(
        "roadmark.odapi",
        "TensorFlow was imported before it, with Keras 3 active, and the Object Detection API "
        "needs Keras 2",
        "call roadmark.odapi.door.open() before importing tensorflow, or set "
        f"{_LEGACY_KERAS}=1 in the environment",
    )


class _PackageNoise(logging.Filter):
    """Drops what is logged below ERROR by, or about, the OD API and what it is built on.

    They tell of deprecated calls that they make, and of choices that the config made.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            return True
        message = record.getMessage()
        return not (
            _NOISY_PACKAGES.search(record.pathname)
            or _NOISY_PACKAGES.search(message)
            or _DEPRECATION.search(message)
        )


def _hush_python() -> None:
    for name in ("absl", "tensorflow", None):
        logger = logging.getLogger(name)
        if not any(isinstance(known, _PackageNoise) for known in logger.filters):
            logger.addFilter(_PackageNoise())
    # Invalid escapes in docstrings, told when a module is compiled for the first time.
    for category in (SyntaxWarning, DeprecationWarning):
        # `module` is matched from the beginning of the file's path.
        warnings.filterwarnings("ignore", category=category, module=f".*{_NOISY_PACKAGES.pattern}")
    # The OD API's evaluation and export call it, and Keras 2 has nothing that does the same.
    warnings.filterwarnings("ignore", message=r"`tf\.keras\.backend\.set_learning_phase`")


def _spend_onednn_notice(tensorflow: Path) -> None:
    """Has TensorFlow say now, once and for all, that oneDNN does not compute with truth values.

    The first graph with a mask in it would, on the user's terminal, at level error. Nothing is
    wrong: such operations run without oneDNN, on every processor.
    """
    for library in tensorflow.glob("libtensorflow_framework.so*"):
        # Where a later TensorFlow has no such function, the line appears.
        with contextlib.suppress(OSError, AttributeError):
            getattr(ctypes.CDLL(str(library)), _ONEDNN_NOTICE)(ctypes.byref(ctypes.c_int(_DT_BOOL)))
