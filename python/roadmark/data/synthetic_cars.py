"""Rendered cars of ten makes, one in the middle of each picture, for classifiers.

The makes differ in their bodies alone: every one comes in any paint, on any street, in any light
and among other cars further away, seen from a side or three quarters, as cars are advertised.
Picture i of a seed depends on (seed, i) alone and shows make `i % len(MAKES)`.
"""

import cv2
import numpy as np

from roadmark.data import synthetic
from roadmark.data.synthetic_actors import (
    HATCHBACK,
    PICKUP,
    SEDAN,
    SUV,
    VAN,
    VEHICLE,
    Actor,
    Body,
    car,
    random_actor,
)
from roadmark.data.synthetic_shapes import Camera
from roadmark.data.synthetic_street import Street, random_street

_WIDTH, _HEIGHT = 240, 160
_MOST_OTHERS = 3
# Radians away from a look at the side.
_MOST_TURN = 0.9
_JPEG_QUALITY = 90

_COUPE = Body(
    (4.3, 4.6), (1.82, 1.92), (1.22, 1.3),
    ((-.5, .22), (-.5, .66), (-.44, .7), (-.12, .99), (0, 1.), (.04, .99), (.2, .66), (.47, .46),
     (.5, .36), (.5, .22)),
    (2, 5),
    (((-.2, .68), (-.1, .92), (.02, .94), (.15, .68)),),
)  # fmt: skip
_ESTATE = Body(
    (4.7, 5.0), (1.78, 1.88), (1.42, 1.5),
    ((-.5, .2), (-.5, .62), (-.46, .95), (-.42, 1.), (.04, 1.), (.22, .64), (.47, .53), (.5, .4),
     (.5, .2)),
    (1, 4),
    (((-.44, .66), (-.42, .93), (-.25, .94), (-.25, .66)),
     ((-.23, .66), (-.23, .94), (-.09, .94), (-.09, .66)),
     ((-.07, .66), (-.07, .94), (.03, .93), (.17, .66))),
)  # fmt: skip
_ROADSTER = Body(
    (3.8, 4.1), (1.68, 1.78), (1.14, 1.22),
    ((-.5, .24), (-.5, .68), (-.3, .74), (-.28, .66), (.06, .66), (.07, .7), (.08, 1.), (.1, 1.),
     (.2, .72), (.47, .54), (.5, .42), (.5, .24)),
    (5, 8),
    (),
)  # fmt: skip
_OFF_ROADER = Body(
    (4.0, 4.3), (1.74, 1.84), (1.86, 1.98),
    ((-.5, .26), (-.5, .99), (-.49, 1.), (.1, 1.), (.14, .62), (.48, .6), (.5, .58), (.5, .26)),
    (1, 3),
    (((-.46, .64), (-.46, .92), (-.22, .92), (-.22, .64)),
     ((-.18, .64), (-.18, .92), (.06, .92), (.1, .64))),
)  # fmt: skip
_MICROCAR = Body(
    (2.5, 2.8), (1.52, 1.62), (1.5, 1.6),
    ((-.5, .18), (-.5, .6), (-.42, .94), (-.3, 1.), (.1, 1.), (.34, .62), (.46, .5), (.5, .38),
     (.5, .18)),
    (1, 4),
    (((-.3, .62), (-.26, .92), (.08, .93), (.26, .62)),),
)  # fmt: skip
_BODIES = {
    "Alba Sedan": SEDAN,
    "Brisa Hatchback": HATCHBACK,
    "Corvo SUV": SUV,
    "Dorado Pickup": PICKUP,
    "Estiva Estate": _ESTATE,
    "Furia Coupe": _COUPE,
    "Grillo Microcar": _MICROCAR,
    "Halcon Roadster": _ROADSTER,
    "Indio Off-roader": _OFF_ROADER,
    "Jarama Van": VAN,
}
MAKES = tuple(_BODIES)

Box = tuple[float, float, float, float]


def jpeg(seed: int, index: int) -> bytes:
    """Picture `index` of `seed`, encoded."""
    image, _ = render(seed, index)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def box(seed: int, index: int) -> Box:
    """`[ymin, xmin, ymax, xmax]` in pixels of the car in picture `index` of `seed`."""
    _, _, placed, _ = _scene(seed, index)
    return _box(placed)


def _box(placed: synthetic.Placed) -> Box:
    left, top, right, bottom = placed.seen.extent
    return (top, left, bottom, right)


def render(seed: int, index: int) -> tuple[np.ndarray, Box]:
    """uint8 `[160, 240, 3]` RGB, and the box of the car in the middle."""
    street, camera, placed, rng = _scene(seed, index)
    things = [placed]
    for _ in range(rng.integers(_MOST_OTHERS + 1)):
        lane = street.lanes[rng.integers(len(street.lanes))]
        other = random_actor(VEHICLE, rng)
        z = placed.z + rng.uniform(9, 40)
        seen = synthetic.place(other, lane.x, z, lane.yaw, camera)
        things += [] if seen is None else [seen]
    for prop in street.props:
        seen = synthetic.place_prop(prop, camera)
        # Nothing hides the car.
        things += [] if seen is None or seen.z < placed.z + 3 else [seen]
    scene = synthetic.compose(street, camera, things, rng, cloud_seed=int(rng.integers(1 << 31)))
    return scene.image, _box(placed)


def _scene(seed: int, index: int) -> tuple[Street, Camera, synthetic.Placed, np.random.Generator]:
    rng = np.random.default_rng([seed, index, len(MAKES)])
    street = random_street(rng, synthetic.LIGHTS[rng.integers(3)])
    camera = Camera(
        _WIDTH,
        _HEIGHT,
        focal=_WIDTH * rng.uniform(0.9, 1.3),
        horizon=_HEIGHT * rng.uniform(0.3, 0.45),
        elevation=rng.uniform(1.2, 2.2),
        blur=rng.uniform(0, 0.6),
        noise=int(rng.integers(1, 3)),
    )
    actor = car(_BODIES[MAKES[index % len(MAKES)]], rng)
    return street, camera, _placed(actor, camera, rng), rng


def _placed(actor: Actor, camera: Camera, rng: np.random.Generator) -> synthetic.Placed:
    """The car, wholly in the picture and large enough to be what it shows."""
    while True:
        side = rng.choice((-1, 1)) * np.pi / 2
        yaw = side + rng.uniform(-_MOST_TURN, _MOST_TURN)
        placed = synthetic.place(actor, rng.uniform(-1.2, 1.2), rng.uniform(6, 13), yaw, camera)
        if placed is None:
            continue
        left, top, right, bottom = placed.seen.extent
        inside = left > 2 and top > 2 and right < _WIDTH - 2 and bottom < _HEIGHT - 2
        if inside and max((right - left) / _WIDTH, (bottom - top) / _HEIGHT) > 0.4:
            return placed
