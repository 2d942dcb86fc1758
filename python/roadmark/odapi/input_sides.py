"""Which sides of the input a config's feature pyramid can work with. Needs no TensorFlow.

A pyramid enlarges its coarser levels twofold and adds them to the finer ones, and so every level
but the coarsest must have an even side. Multiples of 2**coarsest always do:
`feature_map_generators.KerasFpnTopDownFeatureMaps` of the OD API among the backbone's levels, which
end at 5; `bidirectional_feature_pyramid_generators.KerasBiFpnFeatureMaps` among all of them.
"""

from collections.abc import Iterator
from typing import Any

from roadmark.errors import UserError

# Where a backbone ends: an FPN makes the levels above it, and never enlarges those.
_HIGHEST_OF_BACKBONE = 5
# Their level n has a side of ceil(side / 2**n), so that a bit less than a multiple does as well.
# Others round down somewhere: of them nothing but multiples is certain.
_ROUNDING_UP = ("ssd_mobilenet_v1_", "ssd_mobilenet_v2_", "ssd_resnet", "ssd_efficientnet-")
# The extractors of the OD API refuse smaller pictures (`shape_utils.check_min_image_dim`).
_LEAST = 33
_LEAST_BY_TYPE = (("ssd_resnet", 129), ("ssd_efficientnet-", 129))


def check(config: Any, where: str) -> None:
    """Refuses sides that the pyramid of a one-stage model would stop at in the first step.

    Two-stage models pad their input to what their pyramid needs. What a resizer of another kind
    than `fixed_shape_resizer`, or `keep_aspect_ratio_resizer` with padding, gives is not known.

    Args:
        config: A `TrainEvalPipelineConfig`.
        where: The config's file, for messages.

    Raises:
        UserError: A side is too small, or its levels do not meet.
    """
    if config.model.WhichOneof("model") != "ssd":
        return
    extractor = config.model.ssd.feature_extractor
    least, multiple = least_side(extractor), multiple_of(extractor)
    for field, side in _sides(config.model.ssd.image_resizer):
        path = f"model.ssd.image_resizer.{field}"
        if side < least:
            enough = -(-least // multiple) * multiple
            raise UserError(
                where,
                f"{path} is {side}, but {extractor.type} needs {least} at least",
                f"make it larger (--set {path}={enough})",
            )
        if not fits(extractor, side):
            raise UserError(
                where,
                f"{path} is {side}, but the feature pyramid of {extractor.type} halves it and "
                f"doubles it again, and needs a multiple of {multiple}",
                f"set it to {_nearest(side, least, multiple)} (--set {path}=N)",
            )


def fits(extractor: Any, side: int) -> bool:
    """Whether the levels of the pyramid meet; `extractor` is an `SsdFeatureExtractor`."""
    found = _levels(extractor)
    if found is None:
        return True
    finest, coarsest = found
    padded = -(-side // extractor.pad_to_multiple) * extractor.pad_to_multiple
    if not extractor.type.startswith(_ROUNDING_UP):
        return padded % 2**coarsest == 0
    return -(-padded // 2**finest) % 2 ** (coarsest - finest) == 0


def multiple_of(extractor: Any) -> int:
    """Sides that are multiples of this fit, whatever they are; 1 where all do."""
    found = _levels(extractor)
    return 1 if found is None else 2 ** found[1]


def least_side(extractor: Any) -> int:
    """The least side that an extractor takes, in pixels."""
    found = (least for prefix, least in _LEAST_BY_TYPE if extractor.type.startswith(prefix))
    return next(found, _LEAST)


def _levels(extractor: Any) -> tuple[int, int] | None:
    """The finest and the coarsest of the levels that are enlarged and added; None without any."""
    if "_bifpn" in extractor.type:
        return extractor.bifpn.min_level, extractor.bifpn.max_level
    # With explicit padding what is enlarged is cut to the side that it is added to.
    if "_fpn" not in extractor.type or extractor.use_explicit_padding:
        return None
    return extractor.fpn.min_level, min(extractor.fpn.max_level, _HIGHEST_OF_BACKBONE)


def _sides(resizer: Any) -> Iterator[tuple[str, int]]:
    """Fields of an image resizer and the sides in pixels that they give the input."""
    kind = resizer.WhichOneof("image_resizer_oneof")
    chosen = getattr(resizer, kind) if kind else None
    if kind == "fixed_shape_resizer":
        yield f"{kind}.height", chosen.height
        yield f"{kind}.width", chosen.width
    elif kind == "keep_aspect_ratio_resizer" and chosen.pad_to_max_dimension:
        yield f"{kind}.max_dimension", chosen.max_dimension


def _nearest(side: int, least: int, multiple: int) -> str:
    below = side // multiple * multiple
    near = [number for number in (below, below + multiple) if number >= least]
    return " or ".join(map(str, near))
