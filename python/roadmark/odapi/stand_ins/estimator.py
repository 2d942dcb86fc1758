"""What the TF2 path of the OD API uses of `tf.estimator`, removed in TensorFlow 2.16.

That is `ModeKeys` alone; anything else raises AttributeError where it is used.
"""


class ModeKeys:
    """Modes of a model; the values are those of `tf.estimator.ModeKeys`."""

    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "infer"
