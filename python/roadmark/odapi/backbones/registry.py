"""The backbones of our own, each a module beside this one. Needs no TensorFlow."""

from roadmark.odapi.backbones import efficientnet_v2_s, mobilenet_v3_large

BACKBONES = {one.name: one for one in (mobilenet_v3_large.BACKBONE, efficientnet_v2_s.BACKBONE)}
