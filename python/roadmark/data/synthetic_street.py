"""The street of `synthetic`: light, sky, road, buildings, trees, poles and weather."""

import dataclasses
import itertools

import cv2
import numpy as np
from numpy.typing import ArrayLike

from roadmark.data.synthetic_shapes import (
    SUPERSAMPLING,
    Camera,
    Light,
    Shape,
    ShapeBuilder,
    outline,
    paint,
)

_LANE_M = 3.3
_PARKING_M = 2.3
# Ground is painted in bands of growing depth so that haze deepens with distance.
_BANDS_M = np.geomspace(0.5, 600, 22)
_UP = (0, 1, 0)
_LAMP = (255, 232, 176)
_FACADES = (
    (186, 160, 132), (164, 104, 82), (204, 196, 182), (142, 138, 132), (120, 124, 130),
    (196, 176, 120), (154, 118, 96), (216, 206, 196), (104, 92, 86), (132, 150, 160),
)  # fmt: skip
_FOLIAGE = ((66, 96, 44), (82, 112, 52), (54, 84, 50), (112, 124, 56), (138, 104, 48))
_NOISE_SIZE = (400, 560)


@dataclasses.dataclass(frozen=True)
class Lane:
    """A strip that vehicles use.

    Attributes:
        x: Centre in metres.
        yaw: 0 where traffic heads away from the camera, pi where it comes.
        parking: Whether vehicles only stand here.
    """

    x: float
    yaw: float
    parking: bool


@dataclasses.dataclass(frozen=True)
class Prop:
    """A thing that is not labelled but may hide objects: a tree or a pole at (x, z) metres."""

    shape: Shape
    x: float
    z: float


@dataclasses.dataclass(frozen=True)
class Street:
    """A straight street along z; the camera drives in the lane at x = 0.

    Attributes:
        lanes: From left to right.
        road: Left and right kerb in metres.
        left_walk: Left and right edge of the left pavement in metres.
        right_walk: Left and right edge of the right pavement in metres.
        ground: What is painted on the ground.
        buildings: Shapes with their own z, far ones first.
        props: Trees and poles.
        light: Time of day and weather.
    """

    lanes: tuple[Lane, ...]
    road: tuple[float, float]
    left_walk: tuple[float, float]
    right_walk: tuple[float, float]
    ground: "Ground"
    buildings: tuple[tuple[Shape, float], ...]
    props: tuple[Prop, ...]
    light: Light


@dataclasses.dataclass(frozen=True)
class Ground:
    """Strips along the road and marks on it.

    Attributes:
        strips: (left, right, RGB) in metres, painted in order.
        marks: Lane marks as (left, right, dash, period) in metres; period 0 for a solid line.
        crossings: z of zebra crossings in metres.
        paint: RGB of marks.
    """

    strips: tuple
    marks: tuple
    crossings: tuple[float, ...]
    paint: tuple


def random_street(rng: np.random.Generator, light: str, length: float = 130.0) -> Street:
    """A street of random width and surroundings.

    Args:
        rng: Source of all choices.
        light: `day`, `dusk` or `rain`.
        length: How far houses and trees go, in metres.
    """
    lanes, road = _random_lanes(rng)
    walks = rng.uniform(2.2, 4.2, 2)
    left_walk = (road[0] - walks[0], road[0])
    right_walk = (road[1], road[1] + walks[1])
    buildings, props = [], []
    for side, kerb, edge in ((-1, road[0], left_walk[0]), (1, road[1], right_walk[1])):
        buildings += _buildings(side, edge, length, rng, light == "dusk")
        props += _props(side, kerb, edge, length, rng)
    buildings.sort(key=lambda item: -item[1])
    return Street(
        lanes,
        road,
        left_walk,
        right_walk,
        _random_ground(lanes, (road, left_walk, right_walk), length, rng, light),
        tuple(buildings),
        tuple(props),
        _random_light(light, rng),
    )


def _random_lanes(rng: np.random.Generator) -> tuple[tuple[Lane, ...], tuple[float, float]]:
    oncoming, same = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    lanes = [Lane(-_LANE_M * (i + 1), np.pi, False) for i in range(oncoming)]
    lanes += [Lane(_LANE_M * i, 0.0, False) for i in range(same)]
    left, right = -_LANE_M * (oncoming + 0.5), _LANE_M * (same - 0.5)
    if rng.random() < 0.6:
        lanes.append(Lane(left - _PARKING_M / 2, np.pi, True))
        left -= _PARKING_M
    if rng.random() < 0.7:
        lanes.append(Lane(right + _PARKING_M / 2, 0.0, True))
        right += _PARKING_M
    return tuple(sorted(lanes, key=lambda lane: lane.x)), (left, right)


def _random_ground(
    lanes: tuple[Lane, ...], edges: tuple, length: float, rng: np.random.Generator, light: str
) -> Ground:
    road, left_walk, right_walk = edges
    asphalt = np.array([92, 93, 97.0]) * rng.uniform(0.75, 1.25)
    if light == "rain":
        asphalt = asphalt * 0.8 + (0, 2, 6)
    paving = np.array([150, 146, 140.0]) * rng.uniform(0.8, 1.15) + rng.normal(0, 6, 3)
    verge = np.array(_FOLIAGE[rng.integers(len(_FOLIAGE))]) * rng.uniform(0.9, 1.3)
    if rng.random() < 0.5:
        verge = paving * 0.9
    kerb = paving * 1.15
    strips = (
        (-300.0, 300.0, tuple(verge)),
        (*left_walk, tuple(paving)),
        (*right_walk, tuple(paving)),
        (road[0] - 0.15, road[1] + 0.15, tuple(kerb)),
        (*road, tuple(asphalt)),
    )
    driving = [lane.x for lane in lanes if not lane.parking]
    marks = [(min(driving) - _LANE_M / 2, 0.0), (max(driving) + _LANE_M / 2, 0.0)]
    for left, right in itertools.pairwise(lanes):
        if left.parking or right.parking:
            continue
        solid = left.yaw != right.yaw and rng.random() < 0.5
        marks.append(((left.x + right.x) / 2, 0.0 if solid else 9.0))
    crossings = np.cumsum(rng.uniform(12, 60, max(int(length / 45), 1)))
    return Ground(
        strips,
        tuple((x - 0.07, x + 0.07, 3.0, period) for x, period in marks),
        tuple(crossings) if rng.random() < 0.6 else (),
        tuple(np.array([226, 224, 214]) * rng.uniform(0.75, 1.02)),
    )


def _buildings(side: int, edge: float, length: float, rng: np.random.Generator, lit: bool) -> list:
    found = []
    near = rng.uniform(-12, 8)
    while near < length:
        along, tall = rng.uniform(8, 24), rng.uniform(5, 22)
        if rng.random() < 0.75:
            setback = rng.choice([0.0, rng.uniform(0.5, 5)])
            shape = _building(side, edge + side * setback, along, tall, rng, lit)
            found.append((shape, near))
        near += along + rng.choice([0.0, rng.uniform(1, 12)])
    return found


def _building(
    side: int, x: float, along: float, tall: float, rng: np.random.Generator, lit: bool
) -> Shape:
    colour = np.array(_FACADES[rng.integers(len(_FACADES))]) * rng.uniform(0.8, 1.1)
    deep = side * rng.uniform(8, 14)
    builder = ShapeBuilder()
    builder.polygon(
        [(x, 0, 0), (x + deep, 0, 0), (x + deep, tall, 0), (x, tall, 0)], colour * 0.85, (0, 0, -1)
    )
    road_side = (-side, 0, 0)
    builder.polygon([(x, 0, 0), (x, 0, along), (x, tall, along), (x, tall, 0)], colour, road_side)
    if rng.random() < 0.6:
        shop = np.array(_FACADES[rng.integers(len(_FACADES))]) * 0.6
        builder.polygon(
            [(x, 0, 0), (x, 0, along), (x, 3.1, along), (x, 3.1, 0)], shop, road_side, 1
        )
    pitch, storey = rng.uniform(2.2, 3.6), rng.uniform(2.8, 3.4)
    wide, high = rng.uniform(0.4, 0.65) * pitch, rng.uniform(0.4, 0.6) * storey
    for row in range(int((tall - 0.6) / storey)):
        low = row * storey + 0.9
        for column in range(int(along / pitch)):
            start = (column + 0.5) * pitch - wide / 2
            glowing = lit and rng.random() < 0.35
            builder.polygon(
                [(x, low, start), (x, low, start + wide), (x, low + high, start + wide),
                 (x, low + high, start)],
                (236, 200, 130) if glowing else (64, 72, 84), road_side, 2, glowing,
            )  # fmt: skip
        for column in range(int(abs(deep) / pitch)):
            start = x + side * ((column + 0.5) * pitch - wide / 2)
            builder.polygon(
                [(start, low, 0), (start + side * wide, low, 0),
                 (start + side * wide, low + high, 0), (start, low + high, 0)],
                (58, 64, 76), (0, 0, -1), 2,
            )  # fmt: skip
    return builder.build()


def _props(
    side: int, kerb: float, edge: float, length: float, rng: np.random.Generator
) -> list[Prop]:
    found = []
    trees = [_tree(rng) for _ in range(3)]
    if rng.random() < 0.65:
        for z in np.arange(rng.uniform(4, 14), length, rng.uniform(9, 22)):
            found.append(Prop(trees[rng.integers(3)], kerb + side * 0.7, float(z)))
    if rng.random() < 0.75:
        arm = -side * rng.uniform(0.8, 2.0)
        tall = rng.uniform(5, 8)
        post, x = _lamp_post(arm, tall), kerb + side * 0.35
        for z in np.arange(rng.uniform(6, 20), length, rng.uniform(18, 32)):
            found.append(Prop(post, x, float(z)))
    if rng.random() < 0.4:
        for z in np.arange(rng.uniform(5, 40), length, rng.uniform(25, 70)):
            found.append(Prop(_sign(rng), kerb + side * 0.5, float(z)))
    if rng.random() < 0.5:
        for z in np.arange(rng.uniform(2, 20), length, rng.uniform(6, 15)):
            x = edge + side * rng.uniform(0.8, 5)
            found.append(Prop(trees[rng.integers(3)], x, float(z)))
    return found


def _tree(rng: np.random.Generator) -> Shape:
    tall, crown = rng.uniform(3.8, 7.5), rng.uniform(1.2, 2.3)
    leaves = np.array(_FOLIAGE[rng.integers(len(_FOLIAGE))]) * rng.uniform(0.8, 1.2)
    builder = ShapeBuilder()
    builder.capsule((0, 0, 0), (0, tall - crown, 0), 0.17, (82, 66, 52), end_radius=0.1)
    for _ in range(9):
        x, y, z = rng.uniform(-0.65, 0.65, 3) * crown
        brightness = 1 + 0.25 * y / crown
        builder.capsule((x, tall + y, z), (x, tall + y, z), crown * rng.uniform(0.4, 0.75),
                        np.clip(leaves * brightness, 0, 255), layer=1)  # fmt: skip
    return builder.build()


def _lamp_post(arm: float, tall: float) -> Shape:
    builder = ShapeBuilder()
    builder.capsule((0, 0, 0), (0, tall, 0), 0.09, (78, 80, 82), end_radius=0.06)
    builder.capsule((0, tall, 0), (arm, tall + 0.15, 0), 0.05, (78, 80, 82))
    builder.capsule(
        (arm * 0.8, tall + 0.08, 0), (arm, tall + 0.1, 0), 0.1, _LAMP, layer=1, glows=True
    )
    return builder.build()


def _sign(rng: np.random.Generator) -> Shape:
    tall = rng.uniform(2.0, 2.6)
    colour = ((40, 80, 160), (190, 30, 34), (230, 190, 40))[rng.integers(3)]
    turn = np.linspace(0, 2 * np.pi, (4, 8, 16)[rng.integers(3)], endpoint=False) + np.pi / 4
    builder = ShapeBuilder()
    builder.capsule((0, 0, 0), (0, tall, 0), 0.035, (120, 122, 124))
    for radius, shade, layer in ((0.34, colour, 1), (0.22, (232, 232, 228), 2)):
        disc = [(radius * np.cos(t), tall + radius * np.sin(t), -0.05) for t in turn]
        builder.polygon(disc, shade, layer=layer)
    return builder.build()


def _random_light(name: str, rng: np.random.Generator) -> Light:
    azimuth, gain = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.12)
    high = {"day": rng.uniform(0.45, 1.2), "dusk": 0.15, "rain": 1.2}[name]
    sun = np.array([np.cos(azimuth) * np.cos(high), np.sin(high), np.sin(azimuth) * np.cos(high)])
    ambient, strength, haze, distance, zenith, horizon = {
        "day": ((0.6, 0.63, 0.68), (0.5, 0.46, 0.38), (196, 208, 220), 420,
                (104, 150, 206), (198, 214, 228)),
        "dusk": ((0.42, 0.41, 0.48), (0.26, 0.15, 0.1), (112, 92, 104), 230,
                 (44, 52, 88), (206, 132, 98)),
        "rain": ((0.58, 0.6, 0.63), (0.06, 0.06, 0.06), (150, 156, 162), 95,
                 (128, 134, 142), (168, 172, 176)),
    }[name]  # fmt: skip
    jitter = rng.normal(1, 0.04, 3) * gain
    return Light(
        name=name,
        ambient=np.array(ambient) * jitter,
        sun=np.array(strength) * jitter,
        sun_direction=sun,
        haze=np.clip(np.array(haze) * jitter, 0, 255),
        haze_distance=distance * rng.uniform(0.7, 1.3),
        sky=(np.clip(zenith * jitter, 0, 255), np.clip(horizon * jitter, 0, 255)),
        lamps=name != "day",
    )


def paint_background(street: Street, camera: Camera, advance: float, seed: int) -> np.ndarray:
    """Sky, ground and buildings.

    Args:
        street: What is painted.
        camera: Who looks.
        advance: How far the camera has driven along z, in metres.
        seed: Of the clouds.

    Returns:
        uint8 RGB at `SUPERSAMPLING` times the camera's size.
    """
    rows, columns = camera.height * SUPERSAMPLING, camera.width * SUPERSAMPLING
    canvas = np.empty((rows, columns, 3), np.uint8)
    _paint_sky(canvas, street.light, camera, seed)
    _paint(canvas, _ground_shape(street.ground, street.road, advance), 0.0, street.light, camera)
    for building, z in street.buildings:
        _paint(canvas, building, z - advance, street.light, camera)
    return canvas


def _paint(canvas: np.ndarray, shape: Shape, z: float, light: Light, camera: Camera) -> None:
    seen = outline(shape, 0.0, z, 0.0, camera)
    if seen is not None:
        paint(canvas, shape, seen, light)


def _paint_sky(canvas: np.ndarray, light: Light, camera: Camera, seed: int) -> None:
    # Painted small and enlarged: it has no edges.
    rows = int(camera.horizon * SUPERSAMPLING) + 2
    share = np.linspace(0, 1, rows // 8)[:, None, None] ** 1.5
    gradient = light.sky[0] * (1 - share) + light.sky[1] * share
    clouds = np.random.default_rng(seed).random((5, 7)).astype(np.float32)
    cover = cv2.resize(clouds, (canvas.shape[1] // 8, rows // 8), interpolation=cv2.INTER_CUBIC)
    sky = np.clip(gradient + np.clip((cover - 0.5) * 70, 0, 40)[..., None], 0, 255)
    canvas[:rows] = cv2.resize(sky.astype(np.uint8), (canvas.shape[1], rows))
    corner = (canvas.shape[1], canvas.shape[0])
    cv2.rectangle(canvas, (0, rows), corner, light.haze.tolist(), cv2.FILLED)


def _ground_shape(ground: Ground, road: tuple[float, float], advance: float) -> Shape:
    builder = ShapeBuilder()
    for layer, (left, right, colour) in enumerate(ground.strips):
        for near, far in itertools.pairwise(_BANDS_M):
            _add_patch(builder, (left, right), (near, far), colour, layer)
    layer = len(ground.strips)
    for left, right, dash, period in ground.marks:
        starts, size = _BANDS_M[:15], np.diff(_BANDS_M[:16])
        if period:
            starts = np.arange(-(advance % period) - period, 90, period)
            size = np.full(len(starts), dash)
        for near, long in zip(starts, size, strict=True):
            _add_patch(builder, (left, right), (near, near + long), ground.paint, layer)
    for crossing in ground.crossings:
        near = crossing - advance
        if near > -4:
            for left in np.arange(road[0] + 0.4, road[1] - 0.5, 1.0):
                _add_patch(builder, (left, left + 0.5), (near, near + 3), ground.paint, layer)
    return builder.build()


def _add_patch(
    builder: ShapeBuilder, across: tuple, along: tuple, colour: ArrayLike, layer: int
) -> None:
    (left, right), (near, far) = across, along
    if far > 0.5:
        near = max(near, 0.5)
        corners = [(left, 0, near), (right, 0, near), (right, 0, far), (left, 0, far)]
        builder.polygon(corners, colour, _UP, layer)


def paint_shadow(
    canvas: np.ndarray, camera: Camera, x: float, z: float, yaw: float, size: tuple, light: Light
) -> None:
    """Darkens the ground under a road user of `size` (width, length) metres."""
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    across, along = np.cos(turn) * size[0] * 0.6, np.sin(turn) * size[1] * 0.56
    cos, sin = np.cos(yaw), np.sin(yaw)
    ring = np.stack([x + across * cos + along * sin, np.zeros(16), z - across * sin + along * cos])
    ring[2] = np.maximum(ring[2], 0.5)
    pixels = (camera.project(ring.T) * SUPERSAMPLING).round().astype(np.int32)
    left, top = np.clip(pixels.min(axis=0), 0, canvas.shape[1::-1])
    right, bottom = np.clip(pixels.max(axis=0) + 1, 0, canvas.shape[1::-1])
    if left >= right or top >= bottom:
        return
    region = canvas[top:bottom, left:right]
    mask = np.zeros(region.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, pixels - (left, top), 255)
    dark = cv2.convertScaleAbs(region, alpha=0.5 if light.name == "day" else 0.7)
    cv2.copyTo(dark, mask, region)


def finish(
    canvas: np.ndarray, light: Light, camera: Camera, rng: np.random.Generator
) -> np.ndarray:
    """The picture at the camera's size, with rain, blur and sensor noise.

    Args:
        canvas: uint8 RGB at `SUPERSAMPLING` times the size.
        light: Time of day and weather.
        camera: Whose blur and noise it gets.
        rng: Source of drops and noise.
    """
    size = (camera.width, camera.height)
    image = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    if light.name == "rain":
        image = _rain(image, rng)
    # A narrower blur leaves every pixel as it is.
    if camera.blur > 0.3:
        image = cv2.GaussianBlur(image, (3, 3), camera.blur)
    top, left = rng.integers(_NOISE_SIZE[0] - size[1]), rng.integers(_NOISE_SIZE[1] - size[0])
    noise = _NOISE[top : top + size[1], left : left + size[0]]
    return cv2.add(image, noise * np.int8(camera.noise), dtype=cv2.CV_8U)


def _rain(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    start = rng.uniform((-20, -20), (width, height), (int(rng.integers(120, 320)), 2))
    slant = rng.normal(0.12, 0.03)
    fall = rng.uniform(6, 16, len(start))[:, None] * (slant, 1)
    streaks = np.stack([start, start + fall], axis=1).round().astype(np.int32)
    veil = np.zeros((height, width), np.uint8)
    cv2.polylines(veil, list(streaks), False, 42, 1, cv2.LINE_AA)
    return cv2.add(cv2.convertScaleAbs(image, alpha=0.93, beta=8), cv2.merge([veil] * 3))


def paint_glow(canvas: np.ndarray, centre: np.ndarray, radius: float, colour: ArrayLike) -> None:
    """Adds a halo of light.

    Args:
        canvas: uint8 RGB supersampled picture, changed in place.
        centre: (u, v) in its pixels.
        radius: In its pixels.
        colour: RGB at the centre.
    """
    size = int(np.clip(radius, 2, 90)) * 2 + 1
    left, top = (np.asarray(centre) - size / 2).astype(int)
    cut = (max(-left, 0), max(-top, 0))
    region = canvas[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)]
    if not region.size:
        return
    halo = cv2.resize(_HALO, (size, size))[cut[1] :, cut[0] :]
    halo = halo[: region.shape[0], : region.shape[1], None] * np.asarray(colour, np.float32)
    region[:] = cv2.add(region, halo.astype(np.uint8))


def _halo() -> np.ndarray:
    across = np.linspace(-1, 1, 65, dtype=np.float32)
    distance = np.hypot(across[:, None], across[None])
    return np.clip(1 - distance, 0, 1) ** 2.5


_HALO = _halo()
# A fixed texture, cut at random places, costs a tenth of fresh noise for every picture.
_NOISE = np.random.default_rng(0).normal(0, 1.6, (*_NOISE_SIZE, 3)).round().astype(np.int8)
