"""An empty `tensorflow_io`: it has no release for today's TensorFlow.

Only DeepMAC's colour consistency loss uses it, which no configuration of ours does.
"""
