"""`tensorflow.python.ops.control_flow_ops` with the three functions that moved out of it.

TensorFlow 2.13 moved `case`, `cond` and `while_loop` to modules of their own; tf_slim's example
decoder, which reads the records, still looks for them here.
"""

from typing import Any

import tensorflow as tf
from tensorflow.python.ops import control_flow_ops

case = tf.compat.v1.case
cond = tf.compat.v1.cond
while_loop = tf.compat.v1.while_loop


def __getattr__(name: str) -> Any:
    return getattr(control_flow_ops, name)
