"""The part of TensorFlow 1's `tf.contrib.training` that auto-augment uses: a record of settings."""

from types import SimpleNamespace as HParams

__all__ = ("HParams",)
