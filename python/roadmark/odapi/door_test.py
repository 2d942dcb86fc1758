"""The door in fresh processes: what it prints, what it refuses, what it leaves alone."""

import os
import subprocess
import sys


def _python(code: str, **environment: str) -> subprocess.CompletedProcess:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL")
    }
    inherited["PYTHONPATH"] = os.pathsep.join(sys.path)
    return subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


_OPEN_AND_BUILD = """
import sys
import numpy, PIL.ImageFont
from roadmark.odapi import door

door.open()
finders = len(sys.meta_path)
door.open()
assert len(sys.meta_path) == finders, "opening twice adds finders twice"

import tensorflow as tf
from tensorflow.python.ops import control_flow_ops
from object_detection import exporter_lib_v2, inputs, model_lib_v2
from object_detection.builders import model_builder
from object_detection.meta_architectures import deepmac_meta_arch
from object_detection.utils import visualization_utils

assert tf.keras.Model.__module__.startswith("tf_keras."), tf.keras.Model
assert model_builder.tf_version.is_tf2()
assert not set(vars(numpy)) & {"float", "int", "NAN", "string_"}, "NumPy is patched"
assert not hasattr(control_flow_ops, "case"), "TensorFlow is patched"
assert not hasattr(tf.compat.v1, "estimator"), "TensorFlow is patched"
assert not hasattr(PIL.ImageFont.FreeTypeFont, "getsize"), "Pillow is patched"
assert "tensorflow_io" not in sys.modules

resizer = inputs.image_resizer_builder.image_resizer_pb2.ImageResizer()
resizer.fixed_shape_resizer.height = resizer.fixed_shape_resizer.width = 8
image, _ = inputs.image_resizer_builder.build(resizer)(tf.zeros([4, 4, 3]))
assert image.shape == (8, 8, 3)
# Truth values, of which oneDNN's rewriting of graphs has something to say.
masked = tf.function(lambda values: tf.where(tf.transpose(values > 0), values, 0.0))
assert masked(tf.ones([8, 8])).shape == (8, 8)
"""


def test_opening_importing_and_using_is_silent_and_patches_no_library() -> None:
    done = _python(_OPEN_AND_BUILD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_autograph_converts_the_edited_source() -> None:
    done = _python("""
from roadmark.odapi import door

door.open()
import numpy, tensorflow as tf
from object_detection.utils import metrics

ones = numpy.ones(1)
print(float(tf.function(lambda: metrics.compute_average_precision(ones, ones))()))
""")
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr


_OPEN_TOO_LATE = """
import os
import tensorflow
from roadmark.odapi import door

def attempt():
    try:
        door.open()
    except Exception as error:
        print(type(error).__name__, error)

attempt()
os.environ["TF_USE_LEGACY_KERAS"] = "1"
attempt()
"""


def test_refuses_tensorflow_that_was_imported_with_keras_3_even_if_the_variable_is_set_later() -> (
    None
):
    done = _python(_OPEN_TOO_LATE, TF_CPP_MIN_LOG_LEVEL="3")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == second
    assert first.startswith("UserError roadmark.odapi: TensorFlow was imported before it")
    assert "TF_USE_LEGACY_KERAS=1" in first
