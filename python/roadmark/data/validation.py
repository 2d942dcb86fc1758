"""Judges pictures and boxes: what is right becomes a record, what is not is fixed or dropped.

Each decision is a `Finding` under one of the rules of `roadmark.data.findings`.
"""

import dataclasses
import hashlib
import math

import numpy as np

from roadmark.data import image_file, masks
from roadmark.data.example import AnnotatedImage, box_areas
from roadmark.data.findings import Finding, Rule
from roadmark.data.image_file import ImageFile
from roadmark.data.source import SourceImage, SourceObject, Units

# Annotation tools round to two decimals; less than this over an edge is rounding, not a fault.
_ROUNDING_PX = 0.02
_SHAPE_TOLERANCE = 0.01

Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Judged:
    """A picture after judgement.

    Attributes:
        image: What goes into the records, or None when the picture is dropped.
        findings: What was fixed, dropped or noted.
        digest: Of the picture file's bytes as found; empty when it was dropped.
    """

    image: AnnotatedImage | None
    findings: tuple[Finding, ...]
    digest: bytes = b""


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a set is judged by.

    Attributes:
        class_ids: Label map id by class name.
        with_masks: Every object gets a mask.
    """

    class_ids: dict[str, int]
    with_masks: bool


def judge(source: SourceImage, rules: Rules) -> Judged:
    """Reads one picture, decodes it whole, and judges its objects."""
    findings: list[Finding] = []
    try:
        loaded = source.load()
        picture = image_file.read(loaded.encoded, source.stated_size)
    except (image_file.UnreadableImageError, OSError) as error:
        finding = Finding(Rule.UNREADABLE_IMAGE, f"{source.where}: {source.name}", str(error))
        return Judged(None, (finding,))
    scale = _scale(source, picture, findings)
    if scale is None:
        return Judged(None, tuple(findings))
    _note_changes(source, picture, findings)
    objects = _Objects(source, picture, rules, scale, findings)
    for item in loaded.objects:
        objects.add(item)
    digest = hashlib.blake2b(loaded.encoded, digest_size=16).digest()
    return Judged(objects.annotated(), tuple(findings), digest)


def _scale(
    source: SourceImage, picture: ImageFile, findings: list[Finding]
) -> tuple[float, float] | None:
    """`(y, x)` factors from the source's units to pixels, or None when there are none."""
    stated, normalised = source.stated_size, source.units is Units.NORMALISED
    unscaled = (picture.height, picture.width) if normalised else (1.0, 1.0)
    if stated is None or min(stated) < 1 or stated == (picture.height, picture.width):
        return unscaled
    where = f"{source.where}: {source.name}"
    found = f"{stated[1]}x{stated[0]} stated, the file has {picture.width}x{picture.height} pixels"
    if normalised:
        findings.append(Finding(Rule.STATED_SIZE, where, found))
        return unscaled
    scale = picture.height / stated[0], picture.width / stated[1]
    same_shape = abs(scale[0] / scale[1] - 1) < _SHAPE_TOLERANCE
    rule = Rule.SCALE_TO_IMAGE if same_shape else Rule.WRONG_SIZE
    findings.append(Finding(rule, where, found))
    return scale if same_shape else None


def _note_changes(source: SourceImage, picture: ImageFile, findings: list[Finding]) -> None:
    where = f"{source.where}: {source.name}"
    if picture.turned:
        findings.append(Finding(Rule.APPLY_ORIENTATION, where, "EXIF orientation is not 1"))
    if picture.converted_from:
        findings.append(Finding(Rule.CONVERT_IMAGE, where, f"format {picture.converted_from}"))


class _Objects:
    """The objects of one picture that pass, and what was found about those that do not."""

    def __init__(
        self,
        source: SourceImage,
        picture: ImageFile,
        rules: Rules,
        scale: tuple[float, float],
        findings: list[Finding],
    ):
        self._source, self._picture, self._rules = source, picture, rules
        self._scale, self._findings = scale, findings
        self._kept: list[SourceObject] = []
        self._boxes: list[Box] = []
        self._masks: list[np.ndarray] = []
        self._seen: set[tuple[str, Box]] = set()

    def add(self, item: SourceObject) -> None:
        if item.class_name not in self._rules.class_ids:
            self._find(Rule.UNKNOWN_CLASS, item, f"class {item.class_name!r}")
            return
        mask = self._usable_mask(item)
        box = self._box(item, mask)
        if box is None:
            return
        if (item.class_name, box) in self._seen:
            self._find(Rule.DUPLICATE_BOX, item, f"{item.class_name} {_shown(box)}")
            return
        self._seen.add((item.class_name, box))
        self._kept.append(item)
        self._boxes.append(box)
        if self._rules.with_masks:
            self._masks.append(self._filled(box, item) if mask is None else mask)

    def annotated(self) -> AnnotatedImage:
        picture = self._picture
        names = tuple(item.class_name for item in self._kept)
        boxes = np.array(self._boxes, np.float64).reshape(-1, 4)
        boxes /= [picture.height, picture.width, picture.height, picture.width]
        boxes = np.clip(boxes, 0, 1).astype(np.float32)
        areas = box_areas(boxes, picture.height, picture.width)
        if self._masks:
            areas = np.array([np.count_nonzero(mask) for mask in self._masks], np.float32)
        return AnnotatedImage(
            filename=self._source.name,
            encoded=picture.encoded,
            format=picture.format,
            height=picture.height,
            width=picture.width,
            boxes=boxes,
            class_ids=np.array([self._rules.class_ids[name] for name in names], np.int64),
            class_names=names,
            is_crowd=np.array([item.is_crowd for item in self._kept], bool),
            difficult=np.array([item.difficult for item in self._kept], bool),
            areas=areas,
            masks=tuple(masks.encode(mask) for mask in self._masks) or None,
            source_id=self._source.source_id or self._source.name,
        )

    def _usable_mask(self, item: SourceObject) -> np.ndarray | None:
        if item.mask is None:
            return None
        mask = masks.pixels(item.mask, self._picture.height, self._picture.width, self._scale)
        return mask if mask is not None and mask.any() else None

    def _box(self, item: SourceObject, mask: np.ndarray | None) -> Box | None:
        """The box in pixels of the picture, or None when the object is dropped."""
        if item.box is None:
            return self._box_of_mask(item, mask)
        if not all(map(math.isfinite, item.box)):
            self._find(Rule.NOT_FINITE, item, _shown(item.box))
            return None
        ymin, xmin, ymax, xmax = (
            value * self._scale[index % 2] for index, value in enumerate(item.box)
        )
        if ymin > ymax or xmin > xmax:
            self._find(Rule.SWAP_CORNERS, item, _shown((ymin, xmin, ymax, xmax)))
            ymin, ymax = sorted((ymin, ymax))
            xmin, xmax = sorted((xmin, xmax))
        return self._within(item, (ymin, xmin, ymax, xmax))

    def _box_of_mask(self, item: SourceObject, mask: np.ndarray | None) -> Box | None:
        if mask is None:
            self._find(Rule.EMPTY_BOX, item, "neither a box nor a usable mask")
            return None
        box = masks.bounds(mask)
        self._find(Rule.BOX_FROM_MASK, item, f"no box; the mask's is {_shown(box)}")
        return box

    def _within(self, item: SourceObject, box: Box) -> Box | None:
        height, width = self._picture.height, self._picture.width
        ymin, xmin, ymax, xmax = box
        size = f"{_shown(box)} in a picture of {width}x{height}"
        if ymax - ymin <= _ROUNDING_PX or xmax - xmin <= _ROUNDING_PX:
            self._find(Rule.EMPTY_BOX, item, size)
            return None
        cut = max(ymin, 0.0), max(xmin, 0.0), min(ymax, height), min(xmax, width)
        if cut[2] - cut[0] <= _ROUNDING_PX or cut[3] - cut[1] <= _ROUNDING_PX:
            self._find(Rule.OUTSIDE_IMAGE, item, size)
            return None
        if max(abs(a - b) for a, b in zip(box, cut, strict=True)) > _ROUNDING_PX:
            self._find(Rule.CLIP_TO_IMAGE, item, size)
        return cut

    def _filled(self, box: Box, item: SourceObject) -> np.ndarray:
        why = "no mask" if item.mask is None else "a mask that is empty or malformed"
        self._find(Rule.MASK_FROM_BOX, item, why)
        ymin, xmin, ymax, xmax = (round(value) for value in box)
        mask = np.zeros((self._picture.height, self._picture.width), bool)
        mask[ymin : max(ymax, ymin + 1), xmin : max(xmax, xmin + 1)] = True
        return mask

    def _find(self, rule: Rule, item: SourceObject, found: str) -> None:
        where = f"{self._source.where}: {item.place} ({self._source.name})"
        self._findings.append(Finding(rule, where, found))


def _shown(box: Box) -> str:
    ymin, xmin, ymax, xmax = (f"{value:.6g}" for value in box)
    return f"x {xmin} to {xmax}, y {ymin} to {ymax}"
