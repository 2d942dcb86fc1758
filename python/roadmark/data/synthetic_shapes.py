"""Flat-shaded parts in metres, and how a pinhole camera sees them: the paint of `synthetic`.

World axes: x to the right, y up, z ahead, in metres, with the camera above the origin. A point
appears at `u = width / 2 + f x / z`, `v = horizon + f (camera_height - y) / z`: a pinhole camera
looking level, whose picture is shifted so that the horizon is at row `horizon`.
"""

import dataclasses
import itertools

import cv2
import numpy as np
from numpy.typing import ArrayLike

# Everything is painted at twice the picture's size and averaged down, which smooths the edges.
SUPERSAMPLING = 2
_FRACTION_BITS = 3
_FIXED_POINT = SUPERSAMPLING * (1 << _FRACTION_BITS)
_NEAR_PLANE_M = 0.4
# A pixel coordinate beyond this would overflow OpenCV's fixed-point rasteriser.
_FAR_OUTSIDE_PX = 4000.0

_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 7)
_CAP = np.stack([np.cos(_HALF_TURN), np.sin(_HALF_TURN)], axis=1).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along z.

    Attributes:
        width: Picture width in pixels.
        height: Picture height in pixels.
        focal: Focal length in pixels.
        horizon: Row of the horizon in pixels.
        elevation: Height above the ground in metres.
        blur: Standard deviation of its blur in pixels.
        noise: Strength of its sensor noise; 1 is about 2 grey levels.
    """

    width: int
    height: int
    focal: float
    horizon: float
    elevation: float
    blur: float
    noise: int

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels `[..., 2]` as (u, v) of world points `[..., 3]` in metres, all ahead."""
        scale = self.focal / points[..., 2]
        u = self.width / 2 + points[..., 0] * scale
        v = self.horizon + (self.elevation - points[..., 1]) * scale
        return np.stack([u, v], axis=-1)


@dataclasses.dataclass(frozen=True)
class Light:
    """What the time of day and the weather do to colours.

    Attributes:
        name: `day`, `dusk` or `rain`.
        ambient: RGB factors of light from everywhere.
        sun: RGB factors of light from `sun_direction`.
        sun_direction: Unit vector towards the sun.
        haze: RGB colour (0 to 255) that distance fades into.
        haze_distance: Distance in metres over which 63% is faded.
        sky: RGB colours (0 to 255) at the zenith and at the horizon.
        lamps: Whether lamps are lit.
    """

    name: str
    ambient: np.ndarray
    sun: np.ndarray
    sun_direction: np.ndarray
    haze: np.ndarray
    haze_distance: float
    sky: tuple[np.ndarray, np.ndarray]
    lamps: bool

    def shade(self, colours: np.ndarray, normals: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """RGB `[N, 3]` of matt surfaces: colours, unit normals `[N, 3]`, metres `[N]`."""
        facing = np.clip(normals @ self.sun_direction, 0, None)[:, None]
        lit = colours * (self.ambient + self.sun * facing)
        clear = np.exp(-distance / self.haze_distance)[:, None]
        return np.clip(lit * clear + self.haze * (1 - clear), 0, 255)


@dataclasses.dataclass(frozen=True)
class Shape:
    """Parts in local metres (origin on the ground, z is where it heads), made by `ShapeBuilder`.

    Attributes:
        points: float32 `[P, 3]`, the corners of all polygons.
        offsets: Start of each polygon in `points`, and the end.
        ends: float32 `[C, 2, 3]`, the end points of all capsules.
        radii: float32 `[C, 2]`, metres.
        colours: float32 `[polygons + capsules, 3]`, RGB 0 to 255.
        normals: float32 `[polygons + capsules, 3]`; zero where a part is seen from all sides.
        layers: int32 `[polygons + capsules]`; a higher layer is painted later.
        glows: bool `[polygons + capsules]`, parts that shine when lamps are lit.
    """

    points: np.ndarray
    offsets: np.ndarray
    ends: np.ndarray
    radii: np.ndarray
    colours: np.ndarray
    normals: np.ndarray
    layers: np.ndarray
    glows: np.ndarray

    def centre(self, part: int) -> np.ndarray:
        """Local middle `[3]` of a part, in metres."""
        polygons = len(self.offsets) - 1
        if part >= polygons:
            return self.ends[part - polygons].mean(axis=0)
        return self.points[self.offsets[part] : self.offsets[part + 1]].mean(axis=0)


class ShapeBuilder:
    """Collects polygons and capsules (two balls and what lies between them) for a `Shape`."""

    def __init__(self) -> None:
        self._polygons: list = []
        self._polygon_traits: list = []
        self._capsules: list = []
        self._radii: list = []
        self._capsule_traits: list = []

    def polygon(
        self,
        points: ArrayLike,
        colour: ArrayLike,
        normal: ArrayLike = (0, 0, 0),
        layer: int = 0,
        glows: bool = False,
    ) -> None:
        """Adds a flat polygon; one with a normal is seen only from that side."""
        self._polygons.append(np.asarray(points, np.float32))
        self._polygon_traits.append((colour, normal, layer, glows))

    def capsule(
        self,
        start: ArrayLike,
        end: ArrayLike,
        radius: float,
        colour: ArrayLike,
        layer: int = 0,
        glows: bool = False,
        end_radius: float | None = None,
    ) -> None:
        """Adds a capsule of `radius` metres, tapering to `end_radius` if given."""
        self._capsules.append((start, end))
        self._radii.append((radius, radius if end_radius is None else end_radius))
        self._capsule_traits.append((colour, (0, 0, 0), layer, glows))

    def build(self) -> Shape:
        """The shape of all that was added."""
        traits = self._polygon_traits + self._capsule_traits
        colours, normals, layers, glows = zip(*traits, strict=True)
        polygons = self._polygons
        return Shape(
            points=np.concatenate(polygons) if polygons else np.zeros((0, 3), np.float32),
            offsets=np.cumsum([0, *map(len, polygons)]),
            ends=np.array(self._capsules, np.float32).reshape(-1, 2, 3),
            radii=np.array(self._radii, np.float32).reshape(-1, 2),
            colours=np.array(colours, np.float32),
            normals=np.array(normals, np.float32),
            layers=np.array(layers, np.int32),
            glows=np.array(glows, np.bool_),
        )


@dataclasses.dataclass(frozen=True)
class Outline:
    """A shape as the camera sees it: filled polygons in painting order.

    Attributes:
        contours: int32 `[n, 2]` each, in OpenCV fixed-point pixels of the supersampled picture.
        parts: For each contour the index of its part in the shape.
        distance: float32, metres to each part of the shape, all parts.
        normals: float32 `[parts, 3]`, turned into the world.
        bounds: `(left, top, right, bottom)` in pixels of the picture, cut to it, outwards.
        extent: The same before cutting, not rounded.
    """

    contours: list
    parts: np.ndarray
    distance: np.ndarray
    normals: np.ndarray
    bounds: tuple[int, int, int, int]
    extent: tuple[float, float, float, float]


def outline(shape: Shape, x: float, z: float, yaw: float, camera: Camera) -> Outline | None:
    """Projects a shape that stands on the ground at (x, z), turned by `yaw` radians.

    Returns:
        None when no part of it is in the picture.
    """
    turn = _rotation(yaw)
    shift = np.array([x, 0, z], np.float32)
    ends = shape.ends @ turn + shift
    if len(ends) and ends[:, :, 2].min() < _NEAR_PLANE_M:
        return None
    points = shape.points @ turn + shift
    normals = shape.normals @ turn
    eye = np.array([0, camera.elevation, 0], np.float32)
    first = np.concatenate([points[shape.offsets[:-1]], ends[:, 0]])
    centres = np.concatenate([_means(points, shape.offsets), ends.mean(axis=1)])
    distance = np.sqrt(np.square(centres - eye).sum(axis=1))

    points, offsets = _in_front(points, shape.offsets)
    corners = np.concatenate([
        camera.project(points), _capsule_pixels(ends, shape.radii, camera).reshape(-1, 2)
    ])  # fmt: skip
    if not len(corners):
        return None
    left, top = corners.min(axis=0).tolist()
    right, bottom = corners.max(axis=0).tolist()
    bounds = (
        max(int(np.floor(left)) - 1, 0),
        max(int(np.floor(top)) - 1, 0),
        min(int(np.ceil(right)) + 2, camera.width),
        min(int(np.ceil(bottom)) + 2, camera.height),
    )
    if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
        return None
    caps = offsets[-1] + 2 * len(_CAP) * np.arange(1, len(ends) + 1)
    offsets = np.concatenate([offsets, caps])
    back = normals.any(axis=1) & (((eye - first) * normals).sum(axis=1) <= 0)
    order = np.lexsort((-distance, shape.layers))
    order = order[~(back | (np.diff(offsets) == 0))[order]]
    inside = np.clip(corners, -_FAR_OUTSIDE_PX, _FAR_OUTSIDE_PX)
    fixed = np.rint(inside * _FIXED_POINT).astype(np.int32)
    starts, stops = offsets[order].tolist(), offsets[order + 1].tolist()
    return Outline(
        contours=[fixed[a:b] for a, b in zip(starts, stops, strict=True)],
        parts=order,
        distance=distance,
        normals=normals,
        bounds=bounds,
        extent=(left, top, right, bottom),
    )


def silhouette(seen: Outline) -> np.ndarray:
    """The pixels that an outline covers by at least half: bool, the size of its bounds."""
    left, top, right, bottom = seen.bounds
    size = ((bottom - top) * SUPERSAMPLING, (right - left) * SUPERSAMPLING)
    fine = np.zeros(size, np.uint8)
    corner = np.array([left, top], np.int32) * _FIXED_POINT
    for contour in seen.contours:
        cv2.fillPoly(fine, [contour - corner], 255, shift=_FRACTION_BITS)
    coarse = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return coarse >= 128


def paint(canvas: np.ndarray, shape: Shape, seen: Outline, light: Light) -> None:
    """Paints an outline.

    Args:
        canvas: uint8 RGB picture at `SUPERSAMPLING` times the camera's size, changed in place.
        shape: What is painted.
        seen: Its outline.
        light: What lights it.
    """
    colours = light.shade(shape.colours, seen.normals, seen.distance)
    if light.lamps:
        colours[shape.glows] = shape.colours[shape.glows]
    for colour, contour in zip(colours[seen.parts].tolist(), seen.contours, strict=True):
        cv2.fillPoly(canvas, [contour], colour, shift=_FRACTION_BITS)


def _rotation(yaw: float) -> np.ndarray:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], np.float32)


def _means(points: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    if len(offsets) == 1:
        return np.zeros((0, 3), np.float32)
    return np.add.reduceat(points, offsets[:-1]) / np.diff(offsets)[:, None]


def _in_front(points: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The polygons cut at the near plane; one that lies behind it keeps no corner."""
    if not len(points) or points[:, 2].min() >= _NEAR_PLANE_M:
        return points, offsets
    cut = [_clip(points[a:b]) for a, b in itertools.pairwise(offsets)]
    return np.concatenate(cut), np.cumsum([0, *map(len, cut)])


def _clip(polygon: np.ndarray) -> np.ndarray:
    """Cuts a polygon `[n, 3]` at the near plane (Sutherland and Hodgman, 1974)."""
    depth = polygon[:, 2] - _NEAR_PLANE_M
    if (depth >= 0).all():
        return polygon
    kept = []
    for here in range(len(polygon)):
        there = (here + 1) % len(polygon)
        if depth[here] >= 0:
            kept.append(polygon[here])
        if (depth[here] >= 0) != (depth[there] >= 0):
            share = depth[here] / (depth[here] - depth[there])
            kept.append(polygon[here] + share * (polygon[there] - polygon[here]))
    return np.array(kept, np.float32).reshape(-1, 3)


def _capsule_pixels(ends: np.ndarray, radii: np.ndarray, camera: Camera) -> np.ndarray:
    """Outlines `[C, 14, 2]` of capsules: half a circle around either end."""
    centres = camera.project(ends)
    radius = (radii * camera.focal / ends[:, :, 2])[:, :, None, None]
    along = centres[:, 1] - centres[:, 0]
    length = np.sqrt(np.square(along).sum(axis=1, keepdims=True))
    along = np.where(length > 1e-6, along / np.maximum(length, 1e-6), (1.0, 0.0))
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    cap = _CAP[None, :, :1] * along[:, None] + _CAP[None, :, 1:] * across[:, None]
    front = centres[:, 1, None] + radius[:, 1] * cap
    back = centres[:, 0, None] - radius[:, 0] * cap
    return np.concatenate([front, back], axis=1)
