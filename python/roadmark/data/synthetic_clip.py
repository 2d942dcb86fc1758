"""A drive down a `synthetic` street: a clip in which things move, and the truth of every frame."""

import dataclasses
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from roadmark.atomic import atomic_path
from roadmark.data.synthetic import (
    CYCLIST,
    HEIGHT,
    LIGHTS,
    PEDESTRIAN,
    VEHICLE,
    WIDTH,
    Placed,
    Scene,
    compose,
    place,
    place_prop,
    random_camera,
)
from roadmark.data.synthetic_actors import Actor, random_actor
from roadmark.data.synthetic_shapes import Camera
from roadmark.data.synthetic_street import Street, random_street

FRAMES_PER_SECOND = 25
_SIGHT_M = 80.0
_STEPS_RADIANS_PER_M = 4.0
_QUALITY = "18"  # x264's constant rate factor; 18 looks like the original


@dataclasses.dataclass(frozen=True, eq=False)
class FrameTruth:
    """What is labelled in one frame of a clip, by the rules of `roadmark.data.synthetic`.

    Attributes:
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]` in pixels.
        classes: int32 `[N]`.
        track_ids: int32 `[N]`, the same for the same object throughout the clip.
        occlusions: float32 `[N]`, hidden share of each silhouette.
    """

    boxes: np.ndarray
    classes: np.ndarray
    track_ids: np.ndarray
    occlusions: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Mover:
    """An actor on a straight way: metres at time 0 and metres per second, in the street."""

    actor: Actor
    x: float
    z: float
    yaw: float
    speed_x: float
    speed_z: float
    track_id: int


def render_clip(path: str | os.PathLike, seconds: float, seed: int) -> list[FrameTruth]:
    """Renders a clip of WIDTH x HEIGHT pixels, 25 frames/s, as H.264 in MP4.

    Args:
        path: The file to write; it appears only when it is complete.
        seconds: Length.
        seed: Of the street and all that moves in it.

    Returns:
        The truth of each frame.
    """
    with atomic_path(Path(path)) as temporary:
        return _encode(temporary, render_frames(seconds, seed), _comment(seconds, seed))


def is_clip(path: str | os.PathLike, seconds: float, seed: int) -> bool:
    """Whether the file at `path` is what `render_clip` writes for these arguments."""
    try:
        with av.open(os.fspath(path)) as container:
            return container.metadata.get("comment") == _comment(seconds, seed)
    except (OSError, av.FFmpegError):
        return False


def _comment(seconds: float, seed: int) -> str:
    return f"Roadmark synthetic clip, {seconds:g} s, seed {seed}"


def render_frames(seconds: float, seed: int) -> Iterator[Scene]:
    """Yields the frames of a clip; frame i depends on (seconds, seed, i) alone."""
    rng = np.random.default_rng([seed, 1])
    light = LIGHTS[rng.integers(len(LIGHTS))]
    own_speed = rng.uniform(6, 8)
    street = random_street(rng, light, length=_SIGHT_M + own_speed * seconds)
    camera = random_camera(rng)
    movers = _traffic(street, own_speed, seconds, rng)
    cloud_seed = int(rng.integers(1 << 31))
    for frame in range(round(seconds * FRAMES_PER_SECOND)):
        time = frame / FRAMES_PER_SECOND
        advance = own_speed * time
        things = [_placed(mover, time, advance, camera) for mover in movers]
        things += [place_prop(prop, camera, advance) for prop in street.props]
        present = [thing for thing in things if thing is not None and thing.z < _SIGHT_M]
        noise = np.random.default_rng([seed, 2, frame])
        yield compose(street, camera, present, noise, cloud_seed, advance)


def _encode(path: Path, frames: Iterator[Scene], comment: str) -> list[FrameTruth]:
    truths = []
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=Fraction(FRAMES_PER_SECOND))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": _QUALITY}
        for scene in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene.image, format="rgb24")))
            truths.append(FrameTruth(scene.boxes, scene.classes, scene.track_ids, scene.occlusions))
        container.mux(stream.encode())
    return truths


def _placed(mover: _Mover, time: float, advance: float, camera: Camera) -> Placed | None:
    x, z = mover.x + mover.speed_x * time, mover.z + mover.speed_z * time - advance
    if not 1.0 < z < _SIGHT_M:
        return None
    phase = np.hypot(mover.speed_x, mover.speed_z) * time * _STEPS_RADIANS_PER_M
    return place(mover.actor, x, z, mover.yaw, camera, phase, mover.track_id)


def _traffic(
    street: Street, own_speed: float, seconds: float, rng: np.random.Generator
) -> list[_Mover]:
    end = _SIGHT_M + own_speed * seconds
    ways = [*_in_lanes(street, own_speed, seconds, end, rng), *_on_pavements(street, end, rng)]
    ways += _at_kerbs(end, rng)
    ways += _across(street, own_speed, seconds, rng)
    return [_Mover(*way, track_id=number) for number, way in enumerate(ways, start=1)]


def _in_lanes(
    street: Street, own_speed: float, seconds: float, end: float, rng: np.random.Generator
) -> Iterator:
    """Vehicles: one speed per lane, so that none runs into another."""
    for lane in street.lanes:
        oncoming = lane.yaw != 0
        speed = 0.0 if lane.parking else rng.uniform(7, 11)
        # Nobody in the camera's own lane is slower than the camera.
        speed = own_speed + rng.uniform(0, 1.5) if lane.x == 0 else speed
        far = end + (speed * seconds if oncoming else 0)
        z = rng.uniform(9, 22)
        while z < far:
            actor = random_actor(VEHICLE, rng)
            z += actor.length / 2
            x = lane.x + rng.normal(0, 0.12)
            yield actor, x, z, lane.yaw, 0.0, -speed if oncoming else speed
            gap = rng.exponential(14) + 1.2 if lane.parking else rng.uniform(14, 55)
            z += actor.length / 2 + gap


def _on_pavements(street: Street, end: float, rng: np.random.Generator) -> Iterator:
    for left, right in (street.left_walk, street.right_walk):
        z = rng.uniform(4, 14)
        while z < end:
            away = rng.random() < 0.5
            speed = rng.uniform(0.8, 1.5) * (1 if away else -1)
            x = rng.uniform(left + 0.9, right - 0.4)
            yield random_actor(PEDESTRIAN, rng), x, z, 0.0 if away else np.pi, 0.0, speed
            z += rng.uniform(3, 26)


def _at_kerbs(end: float, rng: np.random.Generator) -> Iterator:
    for x, away in ((-1.9 - 0.4 * rng.random(), False), (1.9 + 0.4 * rng.random(), True)):
        z = rng.uniform(10, 25)
        while z < end:
            speed = 4.5 if away else -4.5
            yield random_actor(CYCLIST, rng), x, z, 0.0 if away else np.pi, 0.0, speed
            z += rng.uniform(25, 70)


def _across(street: Street, own_speed: float, seconds: float, rng: np.random.Generator) -> Iterator:
    """Pedestrians and cyclists who cross well before the camera arrives."""
    left, right = street.road
    for arrival in np.arange(3.0, seconds + 8, 3.0):
        class_id = PEDESTRIAN if rng.random() < 0.65 else CYCLIST
        side = 1 if rng.random() < 0.5 else -1
        speed = side * (1.5 if class_id == PEDESTRIAN else 3.5)
        start = (left if side > 0 else right) - speed * (
            arrival - (right - left) / abs(speed) - 1.5
        )
        z = own_speed * arrival + rng.uniform(2, 6)
        yield random_actor(class_id, rng), start, z, side * np.pi / 2, speed, 0.0
