"""Street scenes rendered from a seed, with exact boxes and masks.

What is labelled, and how:

* A pixel belongs to the nearest thing whose silhouette covers at least half of it. An object's
  mask is the pixels that belong to it; its box is the smallest that encloses its mask, as COCO
  boxes enclose the visible part.
* An object's occlusion is the share of its silhouette within the picture that belongs to nearer
  things. What the picture's edge cuts off does not count.
* An object is labelled when its occlusion is at most `MAX_OCCLUSION` and its box is at least
  `MIN_HEIGHT` pixels high.

In single scenes every object drawn is labelled: positions are drawn until 3 to 15 objects have
boxes 12 to 150 pixels high and about a third of them an occlusion of 20 to 60%. In clips things
move, so some are too small or too well hidden for a while.

Scene i of a seed depends on (seed, i) alone.
"""

import dataclasses
import functools
from collections.abc import Iterator

import cv2
import numpy as np

from roadmark.data.example import AnnotatedImage
from roadmark.data.synthetic_actors import CYCLIST, PEDESTRIAN, VEHICLE, Actor, random_actor
from roadmark.data.synthetic_shapes import (
    SUPERSAMPLING,
    Camera,
    Outline,
    Shape,
    outline,
    paint,
    silhouette,
)
from roadmark.data.synthetic_street import (
    Prop,
    Street,
    finish,
    paint_background,
    paint_glow,
    paint_shadow,
    random_street,
)

CLASSES = {VEHICLE: "vehicle", PEDESTRIAN: "pedestrian", CYCLIST: "cyclist"}
WIDTH, HEIGHT = 480, 320
MIN_OBJECTS, MAX_OBJECTS = 3, 15
MIN_HEIGHT, MAX_HEIGHT = 12, 150
MIN_OCCLUSION, MAX_OCCLUSION = 0.2, 0.6
OCCLUDED_SHARE = 1 / 3
LIGHTS = ("day", "dusk", "rain")

_CLASS_SHARES = (0.44, 0.32, 0.24)
_LIGHT_SHARES = (0.5, 0.25, 0.25)
_ATTEMPTS = 14
_PROP_SIGHT_M = 90.0
_JPEG_QUALITY = 92


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """A rendered picture and the truth about it.

    Attributes:
        image: uint8 `[HEIGHT, WIDTH, 3]`, RGB.
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]` in pixels.
        classes: int32 `[N]`, keys of `CLASSES`.
        masks: bool `[N, HEIGHT, WIDTH]`, the visible pixels.
        occlusions: float32 `[N]`, hidden share of each silhouette.
        track_ids: int32 `[N]`, the same for the same object throughout a clip.
        light: One of `LIGHTS`.
    """

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    masks: np.ndarray
    occlusions: np.ndarray
    track_ids: np.ndarray
    light: str


@dataclasses.dataclass(frozen=True, eq=False)
class Placed:
    """A thing in front of the camera: an actor, or a prop where `actor` is None.

    Attributes:
        x, z: Metres to the right of and ahead of the camera.
        yaw: Radians; 0 heads away from the camera, pi / 2 to the right.
        shape: Its parts.
        seen: Its outline.
        actor: The road user.
        track_id: Its number in a clip.
    """

    x: float
    z: float
    yaw: float
    shape: Shape
    seen: Outline
    actor: Actor | None = None
    track_id: int = 0

    @functools.cached_property
    def covered(self) -> np.ndarray:
        """bool, the pixels within `seen.bounds` that it covers."""
        return silhouette(self.seen)


def render_scene(seed: int, index: int) -> Scene:
    """Renders scene `index` of `seed`."""
    rng = np.random.default_rng([seed, index])
    light = LIGHTS[rng.choice(len(LIGHTS), p=_LIGHT_SHARES)]
    # Now and then a view is so walled in by trees that three objects do not fit.
    while True:
        street, camera = random_street(rng, light), random_camera(rng)
        things = _populate(street, camera, rng)
        if sum(thing.actor is not None for thing in things) >= MIN_OBJECTS:
            return compose(street, camera, things, rng, cloud_seed=int(rng.integers(1 << 31)))


def render_set(count: int, seed: int) -> Iterator[AnnotatedImage]:
    """Yields scenes 0 to `count` - 1 of `seed` as annotated JPEG pictures with masks."""
    for index in range(count):
        yield annotated(render_scene(seed, index), f"synthetic-{seed}-{index:06d}.jpg")


def annotated(scene: Scene, filename: str) -> AnnotatedImage:
    """A scene as the records hold it: a JPEG file, normalised boxes, masks as PNG files."""
    count = len(scene.boxes)
    parameters = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    bgr = cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
    return AnnotatedImage(
        filename=filename,
        encoded=cv2.imencode(".jpg", bgr, parameters)[1].tobytes(),
        format="jpeg",
        height=HEIGHT,
        width=WIDTH,
        boxes=scene.boxes / np.array([HEIGHT, WIDTH] * 2, np.float32),
        class_ids=scene.classes.astype(np.int64),
        class_names=tuple(CLASSES[int(c)] for c in scene.classes),
        is_crowd=np.zeros(count, np.bool_),
        difficult=np.zeros(count, np.bool_),
        areas=scene.masks.sum(axis=(1, 2)).astype(np.float32),
        masks=tuple(cv2.imencode(".png", m.astype(np.uint8))[1].tobytes() for m in scene.masks),
    )


def random_camera(rng: np.random.Generator) -> Camera:
    """A camera as behind the windscreen of a car or a van."""
    return Camera(
        WIDTH,
        HEIGHT,
        focal=WIDTH * rng.uniform(0.8, 1.05),
        horizon=HEIGHT * rng.uniform(0.38, 0.5),
        elevation=rng.uniform(1.3, 2.1),
        blur=rng.uniform(0, 0.75),
        noise=int(rng.integers(1, 4)),
    )


def compose(
    street: Street,
    camera: Camera,
    things: list[Placed],
    rng: np.random.Generator,
    cloud_seed: int,
    advance: float = 0.0,
) -> Scene:
    """Paints a picture of things in a street and labels it.

    Args:
        street: The surroundings.
        camera: Who looks.
        things: Road users and props, in any order.
        rng: Source of rain and noise.
        cloud_seed: Of the sky.
        advance: How far the camera has driven along the street, in metres.
    """
    things = sorted(things, key=lambda thing: -thing.z)
    canvas = paint_background(street, camera, advance, cloud_seed)
    for thing in things:
        if thing.actor is not None:
            size = (thing.actor.width, thing.actor.length)
            paint_shadow(canvas, camera, thing.x, thing.z, thing.yaw, size, street.light)
        paint(canvas, thing.shape, thing.seen, street.light)
        if street.light.lamps:
            _paint_glows(canvas, thing, camera)
    image = finish(canvas, street.light, camera, rng)
    labelled = [
        (thing, visible, hidden)
        for thing, visible, hidden in _visible_parts(things)
        if _is_labelled(visible, hidden)
    ]
    return _labelled_scene(image, labelled, street.light.name)


def place(
    actor: Actor,
    x: float,
    z: float,
    yaw: float,
    camera: Camera,
    phase: float = 0.0,
    track_id: int = 0,
) -> Placed | None:
    """An actor at (x, z) metres, turned by `yaw`; None when it is out of the picture."""
    shape = actor.shape_at(phase)
    seen = outline(shape, x, z, yaw, camera)
    if seen is None:
        return None
    return Placed(x, z, yaw, shape, seen, actor, track_id)


def place_prop(prop: Prop, camera: Camera, advance: float = 0.0) -> Placed | None:
    """A prop as seen after driving `advance` metres; None when it is out of the picture."""
    z = prop.z - advance
    if not 1 < z < _PROP_SIGHT_M:
        return None
    seen = outline(prop.shape, prop.x, z, 0.0, camera)
    if seen is None:
        return None
    return Placed(prop.x, z, 0.0, prop.shape, seen)


def _visible_parts(things: list[Placed]) -> list[tuple[Placed, np.ndarray, float]]:
    """Each actor among the things (far ones first) with what is seen of it, as `_less` says."""
    return [
        _less(thing, thing.covered, things[index + 1 :])
        for index, thing in enumerate(things)
        if thing.actor is not None
    ]


def _less(thing: Placed, visible: np.ndarray, nearer: list[Placed]) -> tuple:
    """A thing, what nearer things leave of its visible pixels, and its occlusion then."""
    left, top, right, bottom = thing.seen.bounds
    kept = visible.copy()
    for other in nearer:
        l, t, r, b = other.seen.bounds
        l, t, r, b = max(l, left), max(t, top), min(r, right), min(b, bottom)
        if l < r and t < b:
            ours = kept[t - top : b - top, l - left : r - left]
            ours &= ~other.covered[
                t - other.seen.bounds[1] : b - other.seen.bounds[1],
                l - other.seen.bounds[0] : r - other.seen.bounds[0],
            ]
    return thing, kept, _occlusion(thing, kept)


def _occlusion(thing: Placed, visible: np.ndarray) -> float:
    covered = np.count_nonzero(thing.covered)
    return 1 - np.count_nonzero(visible) / covered if covered else 1.0


def _is_labelled(visible: np.ndarray, hidden: float) -> bool:
    return hidden <= MAX_OCCLUSION and _height(visible) >= MIN_HEIGHT


def _height(visible: np.ndarray) -> int:
    rows = np.flatnonzero(visible.any(axis=1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else 0


def _labelled_scene(image: np.ndarray, labelled: list, light: str) -> Scene:
    masks = np.zeros((len(labelled), HEIGHT, WIDTH), np.bool_)
    boxes = np.zeros((len(labelled), 4), np.float32)
    for index, (thing, visible, _) in enumerate(labelled):
        left, top, right, bottom = thing.seen.bounds
        masks[index, top:bottom, left:right] = visible
        rows = np.flatnonzero(visible.any(axis=1)) + top
        columns = np.flatnonzero(visible.any(axis=0)) + left
        boxes[index] = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    return Scene(
        image=image,
        boxes=boxes,
        classes=np.array([thing.actor.class_id for thing, _, _ in labelled], np.int32),
        masks=masks,
        occlusions=np.array([hidden for _, _, hidden in labelled], np.float32),
        track_ids=np.array([thing.track_id for thing, _, _ in labelled], np.int32),
        light=light,
    )


def _paint_glows(canvas: np.ndarray, thing: Placed, camera: Camera) -> None:
    """Halos around the lamps of a thing."""
    for part in thing.seen.parts[thing.shape.glows[thing.seen.parts]]:
        local = thing.shape.centre(part)
        cos, sin = np.cos(thing.yaw), np.sin(thing.yaw)
        x = thing.x + local[0] * cos + local[2] * sin
        z = thing.z - local[0] * sin + local[2] * cos
        if z < 1:
            continue
        centre = camera.project(np.array([x, local[1], z])) * SUPERSAMPLING
        radius = SUPERSAMPLING * camera.focal * 0.4 / z
        paint_glow(canvas, centre, radius, thing.shape.colours[part] * 0.6)


# Placing: positions are drawn at random and kept when they fit what was promised above.


@dataclasses.dataclass
class _Crowd:
    """The things placed so far, with what is seen of each.

    Attributes:
        camera: Who looks.
        props: Things that are not labelled.
        parts: For each actor what `_visible_parts` says of it.
    """

    camera: Camera
    props: list[Placed]
    parts: list[tuple[Placed, np.ndarray, float]] = dataclasses.field(default_factory=list)

    @property
    def occluded(self) -> int:
        return sum(hidden >= MIN_OCCLUSION for _, _, hidden in self.parts)

    def try_to_add(self, candidate: Placed, wanted_occluded: int) -> bool:
        """Adds the candidate if then all promises hold and so many objects are occluded."""
        nearer = [thing for thing in self.props if thing.z <= candidate.z]
        nearer += [thing for thing, _, _ in self.parts if thing.z <= candidate.z]
        parts = [_less(candidate, candidate.covered, nearer)]
        for thing, visible, hidden in self.parts:
            behind = thing.z > candidate.z
            parts.append(_less(thing, visible, [candidate]) if behind else (thing, visible, hidden))
        if max(hidden for _, _, hidden in parts) > MAX_OCCLUSION:
            return False
        if sum(hidden >= MIN_OCCLUSION for _, _, hidden in parts) != wanted_occluded:
            return False
        if any(not MIN_HEIGHT <= _height(visible) <= MAX_HEIGHT for _, visible, _ in parts):
            return False
        self.parts = parts
        return True


def _populate(street: Street, camera: Camera, rng: np.random.Generator) -> list[Placed]:
    props = [place_prop(prop, camera) for prop in street.props]
    crowd = _Crowd(camera, [prop for prop in props if prop is not None])
    count = int(rng.integers(MIN_OBJECTS, MAX_OBJECTS + 1))
    for track_id in range(1, count + 1):
        actor = random_actor(1 + int(rng.choice(3, p=_CLASS_SHARES)), rng)
        _add_one(crowd, actor, street, track_id, rng)
    return crowd.props + [thing for thing, _, _ in crowd.parts]


def _add_one(
    crowd: _Crowd, actor: Actor, street: Street, track_id: int, rng: np.random.Generator
) -> None:
    for _ in range(_ATTEMPTS):
        short = crowd.occluded < round((len(crowd.parts) + 1) * OCCLUDED_SHARE)
        wanted = crowd.occluded + short
        spot = _beside(crowd, actor, street, rng) if short else _anywhere(crowd, actor, street, rng)
        if spot is None or not _fits(crowd, actor, spot, apart=not short):
            continue
        candidate = place(actor, *spot, crowd.camera, track_id=track_id)
        if candidate is not None and crowd.try_to_add(candidate, wanted):
            return


def _random_depth(actor: Actor, camera: Camera, rng: np.random.Generator) -> float:
    """The z at which the actor appears with a random height in pixels."""
    low, high = np.log(MIN_HEIGHT + 2), np.log(MAX_HEIGHT - 6)
    pixels = np.exp(low + (high - low) * rng.beta(2.2, 0.65))
    return camera.focal * actor.height / pixels


def _anywhere(
    crowd: _Crowd, actor: Actor, street: Street, rng: np.random.Generator
) -> tuple | None:
    z = _random_depth(actor, crowd.camera, rng)
    reach = z * WIDTH / 2 / crowd.camera.focal
    if actor.class_id == VEHICLE:
        return _in_traffic(z, reach, street, rng)
    if actor.class_id == CYCLIST:
        return _at_the_kerb(z, reach, street, rng)
    walks = [walk for walk in (street.left_walk, street.right_walk) if _overlaps(walk, reach)]
    if walks and rng.random() < 0.65:
        left, right = walks[rng.integers(len(walks))]
        x = rng.uniform(max(left + 0.3, -reach), min(right - 0.3, reach))
        return x, z, rng.integers(2) * np.pi + rng.normal(0, 0.3)
    return _crossing(z, reach, street, rng)


def _overlaps(strip: tuple[float, float], reach: float) -> bool:
    return strip[0] + 0.5 < reach and strip[1] - 0.5 > -reach


def _in_traffic(z: float, reach: float, street: Street, rng: np.random.Generator) -> tuple:
    lanes = [lane for lane in street.lanes if abs(lane.x) < reach]
    if not lanes or rng.random() < 0.14:
        return _crossing(z, reach, street, rng)
    lane = lanes[rng.integers(len(lanes))]
    return lane.x + rng.normal(0, 0.15), z, lane.yaw + rng.normal(0, 0.04)


def _at_the_kerb(z: float, reach: float, street: Street, rng: np.random.Generator) -> tuple:
    sides = [(x, yaw) for x, yaw in ((street.road[0] + 0.8, np.pi), (street.road[1] - 0.8, 0.0),
             (-1.9, np.pi), (1.6, 0.0)) if abs(x) < reach]  # fmt: skip
    if not sides or rng.random() < 0.45:
        return _crossing(z, reach, street, rng)
    x, yaw = sides[rng.integers(len(sides))]
    return x + rng.normal(0, 0.3), z, yaw + rng.normal(0, 0.35)


def _crossing(z: float, reach: float, street: Street, rng: np.random.Generator) -> tuple:
    left, right = max(street.road[0], -reach), min(street.road[1], reach)
    side = 1 if rng.random() < 0.5 else -1
    return rng.uniform(left, right), z, side * np.pi / 2 + rng.normal(0, 0.3)


def _beside(crowd: _Crowd, actor: Actor, street: Street, rng: np.random.Generator) -> tuple | None:
    """A spot that hides, or is hidden by, part of an object that is in full view so far."""
    free = [thing for thing, _, hidden in crowd.parts if hidden < MIN_OCCLUSION]
    if not free:
        return None
    other = free[rng.integers(len(free))]
    gap = (actor.length + other.actor.length) / 2 + rng.uniform(0.2, 6)
    z = other.z + (gap if rng.random() < 0.4 else -gap)
    yaw = _random_yaw(actor, rng)
    if z < 3:
        return None
    focal = crowd.camera.focal
    left, _, right, _ = other.seen.extent
    half = focal * _half_width(actor, yaw) / z
    shift = ((right - left) / 2 + half) * rng.uniform(0.25, 0.9) * (1 if rng.random() < 0.5 else -1)
    x = ((left + right - WIDTH) / 2 + shift) * z / focal
    limits = (
        street.road if actor.class_id == VEHICLE else (street.left_walk[0], street.right_walk[1])
    )
    return (x, z, yaw) if limits[0] < x < limits[1] else None


def _random_yaw(actor: Actor, rng: np.random.Generator) -> float:
    straight = rng.random() < (0.8 if actor.class_id == VEHICLE else 0.5)
    base = np.pi * rng.integers(2) if straight else np.pi * (rng.integers(2) - 0.5)
    return base + rng.normal(0, 0.05 if actor.class_id == VEHICLE else 0.3)


def _half_width(actor: Actor, yaw: float) -> float:
    return (abs(np.cos(yaw)) * actor.width + abs(np.sin(yaw)) * actor.length) / 2


def _half_depth(actor: Actor, yaw: float) -> float:
    return (abs(np.sin(yaw)) * actor.width + abs(np.cos(yaw)) * actor.length) / 2


def _fits(crowd: _Crowd, actor: Actor, spot: tuple, apart: bool) -> bool:
    """Whether it is in view, stands in nobody's place and, if `apart`, covers no other much."""
    x, z, yaw = spot
    camera = crowd.camera
    depth = _half_depth(actor, yaw)
    near = z - depth
    if near < 1.5:
        return False
    half = camera.focal * _half_width(actor, yaw) / z
    centre = WIDTH / 2 + camera.focal * x / z
    seen = min(centre + half, WIDTH) - max(centre - half, 0)
    foot = camera.horizon + camera.focal * camera.elevation / near
    top = camera.horizon + camera.focal * (camera.elevation - actor.height) / near
    if seen < half or foot > HEIGHT + 6 or foot - top > MAX_HEIGHT + 8:
        return False
    for other, _, _ in crowd.parts:
        beside = abs(x - other.x) > _half_width(actor, yaw) + _half_width(other.actor, other.yaw)
        before = abs(z - other.z) > depth + _half_depth(other.actor, other.yaw)
        if not (beside or before):
            return False
        left, upper, right, lower = other.seen.extent
        across = min(centre + half, right) - max(centre - half, left)
        upright = min(foot, lower) - max(top, upper)
        smaller = min((right - left) * (lower - upper), 2 * half * (foot - top))
        if apart and across > 0 and upright > 0 and across * upright > 0.3 * smaller:
            return False
    return True
