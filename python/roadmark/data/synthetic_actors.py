"""The road users of `synthetic`: vehicles, pedestrians and cyclists of random make and colour."""

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np

from roadmark.data.synthetic_shapes import Shape, ShapeBuilder

VEHICLE, PEDESTRIAN, CYCLIST = 1, 2, 3

_GLASS = (52, 62, 74)
_TYRE = (28, 28, 30)
_RIM = (150, 152, 156)
_HEADLIGHT = (255, 246, 214)
_TAIL_LIGHT = (214, 28, 24)
_PLATE = (222, 222, 210)
_PAINTS = (
    (226, 227, 229), (184, 187, 191), (128, 131, 136), (72, 75, 80), (36, 37, 41), (38, 62, 122),
    (74, 112, 164), (150, 28, 30), (196, 52, 40), (38, 84, 60), (118, 94, 70), (226, 178, 44),
    (210, 108, 40), (98, 46, 66), (160, 186, 190),
)  # fmt: skip
_CLOTHES = (
    (30, 32, 40), (58, 62, 72), (110, 112, 118), (220, 220, 216), (40, 58, 110), (80, 120, 180),
    (168, 34, 40), (218, 96, 60), (44, 96, 62), (226, 190, 60), (128, 84, 54), (96, 52, 110),
    (206, 132, 150), (64, 140, 150), (196, 178, 148),
)  # fmt: skip
_TROUSERS = ((28, 30, 36), (44, 54, 84), (70, 84, 116), (92, 82, 70), (56, 58, 60), (150, 138, 116))
_SKIN = ((238, 200, 174), (214, 168, 136), (168, 120, 88), (120, 80, 58), (86, 56, 42))
_HAIR = ((30, 24, 22), (70, 46, 30), (128, 92, 52), (160, 156, 150), (40, 40, 44))


@dataclasses.dataclass(frozen=True)
class Actor:
    """One road user.

    Attributes:
        class_id: `VEHICLE`, `PEDESTRIAN` or `CYCLIST`.
        height: Metres.
        width: Metres, across its heading.
        length: Metres, along its heading.
        shape_at: Its shape at a phase (radians) of its gait or pedalling.
    """

    class_id: int
    height: float
    width: float
    length: float
    shape_at: Callable[[float], Shape]


@dataclasses.dataclass(frozen=True)
class Body:
    """Side view of a vehicle in shares of its length (rear -0.5) and height.

    Attributes:
        length: Range in metres.
        width: Range in metres.
        height: Range in metres.
        profile: Corners from the rear bottom over the roof to the front bottom.
        glass: Indices of the profile's edges that are windows.
        windows: Side windows.
    """

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    profile: tuple
    glass: tuple[int, ...]
    windows: tuple


SEDAN = Body(
    (4.2, 4.9), (1.72, 1.88), (1.38, 1.5),
    ((-.5, .2), (-.5, .62), (-.37, .66), (-.2, .98), (-.1, 1.), (.08, 1.), (.27, .64),
     (.47, .53), (.5, .4), (.5, .2)),
    (2, 5),
    (((-.31, .66), (-.19, .93), (-.06, .95), (-.06, .66)),
     ((-.04, .66), (-.04, .95), (.07, .94), (.22, .66))),
)  # fmt: skip
HATCHBACK = Body(
    (3.6, 4.3), (1.66, 1.8), (1.42, 1.56),
    ((-.5, .2), (-.5, .5), (-.48, .64), (-.4, .97), (-.3, 1.), (.06, 1.), (.27, .64), (.46, .54),
     (.5, .42), (.5, .2)),
    (2, 5),
    (((-.43, .66), (-.36, .93), (-.12, .95), (-.12, .66)),
     ((-.1, .66), (-.1, .95), (.05, .94), (.22, .66))),
)  # fmt: skip
SUV = Body(
    (4.4, 5.0), (1.84, 2.0), (1.66, 1.86),
    ((-.5, .22), (-.5, .6), (-.47, .97), (-.42, 1.), (.05, 1.), (.2, .65), (.47, .58), (.5, .5),
     (.5, .22)),
    (1, 4),
    (((-.45, .66), (-.44, .93), (-.28, .94), (-.28, .66)),
     ((-.26, .66), (-.26, .94), (-.08, .94), (-.08, .66)),
     ((-.06, .66), (-.06, .94), (.04, .94), (.16, .66))),
)  # fmt: skip
PICKUP = Body(
    (5.0, 5.6), (1.86, 2.0), (1.7, 1.9),
    ((-.5, .24), (-.5, .56), (-.1, .56), (-.08, .98), (-.03, 1.), (.12, 1.), (.22, .64), (.47, .58),
     (.5, .48), (.5, .24)),
    (2, 5),
    (((-.06, .64), (-.05, .94), (.06, .94), (.06, .64)),
     ((.08, .64), (.08, .94), (.11, .94), (.18, .64))),
)  # fmt: skip
VAN = Body(
    (4.8, 5.8), (1.95, 2.1), (2.1, 2.6),
    ((-.5, .14), (-.5, .96), (-.48, 1.), (.26, 1.), (.4, .6), (.49, .48), (.5, .14)),
    (3,),
    (((.12, .6), (.12, .88), (.26, .88), (.36, .6)),),
)  # fmt: skip
_BUS = Body(
    (8.5, 11.5), (2.4, 2.55), (2.9, 3.2),
    ((-.5, .12), (-.5, .98), (-.49, 1.), (.48, 1.), (.49, .95), (.5, .42), (.5, .12)),
    (4,),
    tuple(((a, .45), (a, .82), (a + .12, .82), (a + .12, .45)) for a in
          (-.47, -.33, -.19, -.05, .09, .23, .36)),
)  # fmt: skip
_LORRY_CAB = Body(
    (1.7, 2.0), (2.2, 2.4), (2.3, 2.7),
    ((-.5, .2), (-.5, 1.), (.3, 1.), (.46, .6), (.5, .55), (.5, .2)),
    (2,),
    (((-.1, .58), (-.1, .9), (.24, .9), (.38, .58)),),
)  # fmt: skip
_CARGO = Body(
    (3.8, 6.0), (2.3, 2.5), (2.8, 3.5),
    ((-.5, .26), (-.5, 1.), (.5, 1.), (.5, .26)), (), (),
)  # fmt: skip
_MAKES = (SEDAN, HATCHBACK, SUV, PICKUP, VAN, _BUS)
_SHARES = np.array([0.27, 0.24, 0.2, 0.07, 0.1, 0.04])  # the rest are lorries


def random_actor(class_id: int, rng: np.random.Generator) -> Actor:
    """A road user of a class, of random make, size and colours."""
    return {VEHICLE: _vehicle, PEDESTRIAN: _pedestrian, CYCLIST: _cyclist}[class_id](rng)


def _vehicle(rng: np.random.Generator) -> Actor:
    make = int(np.searchsorted(np.cumsum(_SHARES), rng.random()))
    if make == len(_MAKES):
        return _lorry(rng)
    return car(_MAKES[make], rng)


def car(body: Body, rng: np.random.Generator) -> Actor:
    """A vehicle of this body, of random size within its ranges and of random paint."""
    length, width, height = (rng.uniform(*r) for r in (body.length, body.width, body.height))
    builder = ShapeBuilder()
    _add_body(builder, body, (length, width, height), 0.0, _jittered(_PAINTS, rng))
    _add_wheels(builder, width, (-0.31 * length, 0.31 * length), 0.33 if height < 2.7 else 0.48)
    _add_lights(builder, (length, width, height), 0.0)
    shape = builder.build()
    return Actor(VEHICLE, height, width, length, lambda _: shape)


def _lorry(rng: np.random.Generator) -> Actor:
    cab_length, cab_width, cab_height = (
        rng.uniform(*r) for r in (_LORRY_CAB.length, _LORRY_CAB.width, _LORRY_CAB.height)
    )
    length, width, height = (rng.uniform(*r) for r in (_CARGO.length, _CARGO.width, _CARGO.height))
    total = length + cab_length
    builder = ShapeBuilder()
    cab_size = (cab_length, cab_width, cab_height)
    _add_body(builder, _LORRY_CAB, cab_size, length / 2, _jittered(_PAINTS, rng))
    _add_body(
        builder, _CARGO, (length, width, height), -cab_length / 2 - 0.05, _jittered(_PAINTS, rng)
    )
    _add_wheels(builder, width, (-0.34 * total, 0.36 * total), 0.46)
    _add_lights(builder, (total, width, cab_height), 0.0)
    shape = builder.build()
    return Actor(VEHICLE, height, width, total, lambda _: shape)


def _add_body(builder: ShapeBuilder, body: Body, size: tuple, centre: float, paint: tuple) -> None:
    length, width, height = size
    profile = np.array(body.profile, np.float32) * (length, height) + (centre, 0)
    half = width / 2 * _taper(profile[:, 1] / height, height)
    for side in (-1, 1):
        points = np.stack([side * half, profile[:, 1], profile[:, 0]], axis=1)
        builder.polygon(points, paint, (side, 0, 0))
        for window in body.windows:
            corners = np.array(window, np.float32) * (length, height) + (centre, 0)
            across = side * width / 2 * _taper(corners[:, 1] / height, height)
            builder.polygon(
                np.stack([across, corners[:, 1], corners[:, 0]], axis=1), _GLASS, (side, 0, 0), 2
            )
    for edge in range(len(profile) - 1):
        (back, low), (front, high) = profile[edge], profile[edge + 1]
        normal = np.array([0, front - back, low - high])
        normal = normal / max(np.linalg.norm(normal), 1e-6)
        quad = np.array([
            (-half[edge], low, back), (half[edge], low, back),
            (half[edge + 1], high, front), (-half[edge + 1], high, front),
        ], np.float32)  # fmt: skip
        builder.polygon(quad, paint, normal)
        if edge in body.glass:
            inset = quad.mean(axis=0) + (quad - quad.mean(axis=0)) * (0.88, 0.84, 0.84)
            builder.polygon(inset, _GLASS, normal, 2)


def _taper(share_of_height: np.ndarray, height: float) -> np.ndarray:
    """The cabins of cars lean inwards above the waist; boxes do not."""
    return 1 - (0.42 if height < 2 else 0.1) * np.clip(share_of_height - 0.62, 0, None)


def _add_wheels(builder: ShapeBuilder, width: float, axles: tuple, radius: float) -> None:
    turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    disc = np.stack([np.zeros_like(turn), radius + radius * np.sin(turn), radius * np.cos(turn)], 1)
    for axle in axles:
        for side in (-1, 1):
            outer = np.add(disc, (side * (width / 2 + 0.01), 0, axle))
            tread = width / 2 - 0.12
            builder.polygon(
                [(side * tread + across, up, axle) for across, up in
                 ((-0.12, 0), (0.12, 0), (0.12, radius), (-0.12, radius))],
                _TYRE, layer=-1,
            )  # fmt: skip
            builder.polygon(outer, _TYRE, (side, 0, 0), 3)
            rim = (outer - (0, radius, axle)) * (1, 0.55, 0.55) + (0, radius, axle)
            builder.polygon(rim, _RIM, (side, 0, 0), 4)


def _add_lights(builder: ShapeBuilder, size: tuple, centre: float) -> None:
    length, width, height = size
    for end, colour in ((1, _HEADLIGHT), (-1, _TAIL_LIGHT)):
        along = centre + end * (length / 2 + 0.01)
        base = min(0.42 * height, 0.85)
        for side in (-1, 1):
            inner, outer = side * 0.27 * width, side * 0.46 * width
            quad = [(inner, base, along), (outer, base, along),
                    (outer, base + 0.17, along), (inner, base + 0.15, along)]  # fmt: skip
            builder.polygon(quad, colour, (0, 0, end), 3, glows=True)
        plate = [(-0.26, base - 0.2, along), (0.26, base - 0.2, along),
                 (0.26, base - 0.08, along), (-0.26, base - 0.08, along)]  # fmt: skip
        builder.polygon(plate, _PLATE, (0, 0, end), 3)


@dataclasses.dataclass(frozen=True)
class _Person:
    """Colours and build of a person.

    Attributes:
        height: Metres.
        girth: Factor on every radius.
        skin, hair, top, trousers: RGB.
        sleeves: Colour of the arms.
        bag: Colour of a rucksack, or None.
        skirt: Whether the trousers are a skirt or a long coat.
    """

    height: float
    girth: float
    skin: tuple
    hair: tuple
    top: tuple
    trousers: tuple
    sleeves: tuple
    bag: tuple | None
    skirt: bool


def _person(rng: np.random.Generator) -> _Person:
    child = rng.random() < 0.12
    top = _jittered(_CLOTHES, rng)
    skin = _jittered(_SKIN, rng)
    return _Person(
        height=rng.uniform(1.1, 1.4) if child else rng.uniform(1.55, 1.92),
        girth=rng.uniform(0.9, 1.25),
        skin=skin,
        hair=_jittered(_HAIR, rng),
        top=top,
        trousers=_jittered(_TROUSERS, rng),
        sleeves=skin if rng.random() < 0.3 else top,
        bag=_jittered(_CLOTHES, rng) if rng.random() < 0.3 else None,
        skirt=rng.random() < 0.2,
    )


def _pedestrian(rng: np.random.Generator) -> Actor:
    person = _person(rng)
    stride = rng.uniform(0.1, 0.55)
    start = rng.uniform(0, 2 * np.pi)
    return Actor(
        PEDESTRIAN,
        person.height,
        0.55 * person.girth,
        0.6,
        lambda phase: _walking(person, stride, start + phase),
    )


def _walking(person: _Person, stride: float, phase: float) -> Shape:
    tall, girth = person.height, person.girth * person.height / 1.75
    builder = ShapeBuilder()
    for side in (-1, 1):
        swing = side * stride * np.sin(phase)
        hip = (side * 0.09 * girth, 0.5 * tall, 0)
        knee = (side * 0.09 * girth, 0.27 * tall, 0.18 * tall * np.sin(swing) + 0.02)
        foot = (side * 0.09 * girth, 0.04 * tall, 0.46 * tall * np.sin(swing))
        toe = (foot[0], 0.025 * tall, foot[2] + 0.13 * girth)
        builder.capsule(hip, knee, 0.088 * girth, person.trousers, end_radius=0.068 * girth)
        builder.capsule(knee, foot, 0.066 * girth, person.trousers, end_radius=0.05 * girth)
        builder.capsule(foot, toe, 0.045 * girth, (34, 30, 30))
        shoulder = (side * 0.19 * girth, 0.79 * tall, 0)
        elbow = (side * 0.23 * girth, 0.63 * tall, -0.15 * tall * np.sin(swing) - 0.02)
        hand = (side * 0.22 * girth, 0.48 * tall, -0.28 * tall * np.sin(swing) + 0.06)
        builder.capsule(shoulder, elbow, 0.052 * girth, person.sleeves)
        builder.capsule(elbow, hand, 0.045 * girth, person.sleeves)
        builder.capsule(hand, hand, 0.045 * girth, person.skin)
        builder.capsule(
            (side * 0.08 * girth, 0.54 * tall, 0), (side * 0.105 * girth, 0.77 * tall, 0),
            0.105 * girth, person.top,
        )  # fmt: skip
        if person.skirt:
            builder.capsule(
                (side * 0.07 * girth, 0.55 * tall, 0), (side * 0.1 * girth, 0.32 * tall, 0),
                0.1 * girth, person.top, layer=1, end_radius=0.12 * girth,
            )  # fmt: skip
    if person.bag:
        builder.capsule(
            (0, 0.6 * tall, -0.15 * girth), (0, 0.74 * tall, -0.15 * girth), 0.13 * girth,
            person.bag,
        )  # fmt: skip
    _add_head(builder, person, (0, 0.92 * tall, 0.02), girth)
    return builder.build()


def _add_head(builder: ShapeBuilder, person: _Person, centre: tuple, girth: float) -> None:
    x, y, z = centre
    builder.capsule((x, y - 0.16 * girth, z), (x, y, z), 0.05 * girth, person.skin)
    builder.capsule((x, y - 0.03 * girth, z + 0.01), (x, y + 0.02, z + 0.01), 0.095 * girth,
                    person.skin)  # fmt: skip
    builder.capsule((x, y + 0.035 * girth, z - 0.035), (x, y + 0.045 * girth, z - 0.02),
                    0.1 * girth, person.hair)  # fmt: skip


def _cyclist(rng: np.random.Generator) -> Actor:
    person = dataclasses.replace(_person(rng), height=rng.uniform(1.6, 1.9))
    frame = _jittered(_PAINTS, rng)
    helmet = _jittered(_CLOTHES, rng) if rng.random() < 0.6 else person.hair
    lean = rng.uniform(0.25, 0.5)
    start = rng.uniform(0, 2 * np.pi)
    return Actor(
        CYCLIST,
        1.02 + 0.47 * person.height,
        0.6,
        1.75,
        lambda phase: _riding(dataclasses.replace(person, hair=helmet), frame, lean, start + phase),
    )


def _riding(person: _Person, frame: tuple, lean: float, phase: float) -> Shape:
    builder = ShapeBuilder()
    _add_bicycle(builder, frame)
    tall, girth = person.height, person.girth
    reach = 0.29 * tall
    hips = np.array([0, 0.98, -0.2])
    chest = np.add(hips, (0, reach * np.cos(lean), reach * np.sin(lean)))
    for side in (-1, 1):
        turn = phase + (np.pi if side > 0 else 0)
        pedal = np.array([side * 0.12, 0.3 + 0.16 * np.sin(turn), 0.02 + 0.16 * np.cos(turn)])
        hip = np.add(hips, (side * 0.09, -0.02, 0))
        knee = (hip + pedal) / 2 + (side * 0.02, 0.08, 0.2)
        builder.capsule(hip, knee, 0.088 * girth, person.trousers, end_radius=0.066 * girth)
        builder.capsule(knee, pedal, 0.06 * girth, person.trousers, end_radius=0.045 * girth)
        builder.capsule(pedal, np.add(pedal, (0, -0.02, 0.12)), 0.045, (34, 30, 30))
        shoulder = np.add(chest, (side * 0.17 * girth, 0.02, 0))
        hand = np.array([side * 0.26, 1.02, 0.42])
        elbow = (shoulder + hand) / 2 + (side * 0.05, -0.06, 0)
        builder.capsule(shoulder, elbow, 0.052 * girth, person.sleeves)
        builder.capsule(elbow, hand, 0.045 * girth, person.sleeves)
        waist, breast = (side * 0.07, 0.03, 0), (side * 0.09, 0, 0)
        builder.capsule(np.add(hips, waist), np.add(chest, breast), 0.11 * girth, person.top)
    if person.bag:
        low, high = np.add(hips, (0, 0.15, -0.1)), np.add(chest, (0, 0.05, -0.15))
        builder.capsule(low, high, 0.12 * girth, person.bag)
    head = np.add(chest, (0, 0.16 * tall, 0.08))
    _add_head(builder, person, tuple(head), girth)
    return builder.build()


def _add_bicycle(builder: ShapeBuilder, frame: tuple) -> None:
    radius, base = 0.335, 0.53
    turn = np.linspace(0, 2 * np.pi, 13)
    for hub in (-base, base):
        rim = np.stack([np.zeros_like(turn), radius + radius * np.sin(turn),
                        hub + radius * np.cos(turn)], 1)  # fmt: skip
        for start, end in itertools.pairwise(rim):
            builder.capsule(start, end, 0.028, _TYRE)
    saddle, crank, head = (0, 0.93, -0.2), (0, 0.3, 0.02), (0, 0.86, 0.36)
    tubes = ((saddle, crank), (crank, head), (saddle, head), (crank, (0, radius, -base)),
             (saddle, (0, radius, -base)), (head, (0, radius, base)),
             (head, (0, 1.0, 0.38)))  # fmt: skip
    for start, end in tubes:
        builder.capsule(start, end, 0.024, frame)
    builder.capsule((-0.26, 1.0, 0.4), (0.26, 1.0, 0.4), 0.02, _TYRE)
    builder.capsule((0, 0.95, -0.3), (0, 0.95, -0.12), 0.05, _TYRE)


def _jittered(palette: tuple, rng: np.random.Generator) -> tuple:
    colour = np.array(palette[rng.integers(len(palette))], float) * rng.uniform(0.85, 1.12)
    return tuple(np.clip(colour + rng.normal(0, 5, 3), 8, 245))
