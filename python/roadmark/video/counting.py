"""Tracked objects that cross a line or come into a zone of the picture, counted."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.ops import annotate
from roadmark.video.tracking import UNTRACKED

_COLOUR_NUMBERS = np.array([4, 4])


class Counter(Protocol):
    """Counts objects, of which each is where the middle of its lower edge is.

    Attributes:
        title: What is counted, as in `crossed the line`.
    """

    title: str

    def place(self, height: int, width: int) -> None:
        """Takes its place in a picture of this size in pixels, and begins to count.

        Raises:
            UserError: It lies outside the picture.
        """

    @property
    def counts(self) -> dict[str, int]:
        """What was counted so far."""

    def by_class(self) -> dict[str, dict[int, int]]:
        """What was counted over all frames so far, by class id."""

    def update(self, detections: Detections) -> None:
        """Looks at the next frame's tracked objects."""

    def draw(self, picture: annotate.Yuv420, counts: Mapping[str, int]) -> None:
        """Draws its outline, and the counts that it had at a frame."""


@dataclasses.dataclass(frozen=True)
class _Points:
    """Points as a user gave them.

    Attributes:
        flag: Where they are from.
        text: As they were written.
        points: float64 `[N, 2]`, x and y in pixels; shares of the picture when all are 0 to 1.
    """

    flag: str
    text: str
    points: np.ndarray

    @classmethod
    def parse(cls, flag: str, text: str, form: str) -> "_Points":
        """Raises UserError unless there are 2 or more finite points."""
        try:
            values = np.array([float(part) for part in text.split(",")])
        except ValueError:
            values = np.array([np.nan])
        if len(values) < 4 or len(values) % 2 or not np.isfinite(values).all():
            raise _wrong(flag, text, form)
        return cls(flag, text, values.reshape(-1, 2))

    def in_pixels(self, height: int, width: int) -> np.ndarray:
        """float64 `[N, 2]`; raises UserError when they lie outside the picture altogether."""
        is_share = (self.points >= 0).all() and (self.points <= 1).all()
        found = self.points * (width, height) if is_share else self.points
        if (found.max(axis=0) < 0).any() or (found.min(axis=0) > (width, height)).any():
            raise UserError(
                self.flag,
                f"{self.text} lies outside the picture, which is {width}x{height}",
                "give x and y in pixels, or as shares from 0 to 1",
            )
        return found


class CountLine:
    """Counts objects that cross a line; see `Counter`.

    Looking from the line's start to its end, `to the right` are those that cross from its left.
    """

    title = "crossed the line"

    def __init__(self, points: _Points) -> None:
        self._points = points

    @classmethod
    def parse(cls, text: str) -> "CountLine":
        """Makes one of `x1,y1,x2,y2`, in pixels or as shares of width and height.

        Raises:
            UserError: It is not written so.
        """
        flag, form = "--count_line", "give two points in pixels or shares, as x1,y1,x2,y2"
        points = _Points.parse(flag, text, form)
        if len(points.points) != 2 or (points.points[0] == points.points[1]).all():
            raise _wrong(flag, text, form)
        return cls(points)

    def place(self, height: int, width: int) -> None:
        """See `Counter`."""
        import supervision as sv

        start, end = self._points.in_pixels(height, width)
        self._ends = np.array([start[::-1], end[::-1]], np.float32)
        self._zone = sv.LineZone(
            sv.Point(*start), sv.Point(*end), triggering_anchors=[sv.Position.BOTTOM_CENTER]
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many have crossed so far, by direction."""
        return {"to the left": self._zone.in_count, "to the right": self._zone.out_count}

    def by_class(self) -> dict[str, dict[int, int]]:
        """How many have crossed so far, by direction and class id."""
        ways = (self._zone.in_count_per_class, self._zone.out_count_per_class)
        counts = [{int(class_id): int(n) for class_id, n in way.items()} for way in ways]
        return dict(zip(self.counts, counts, strict=True))

    def update(self, detections: Detections) -> None:
        """See `Counter`."""
        self._zone.trigger(_followed(detections))

    def draw(self, picture: annotate.Yuv420, counts: Mapping[str, int]) -> None:
        """See `Counter`."""
        text = ", ".join(f"{count} {direction}" for direction, count in counts.items())
        _draw(picture, self._ends, text)


class CountZone:
    """Counts objects in a zone: those inside now, and all that were ever inside; see `Counter`."""

    title = "in the zone"

    def __init__(self, points: _Points) -> None:
        self._points = points
        self._inside = 0
        # The class that each track had when it came in.
        self._entered: dict[int, int] = {}

    @classmethod
    def parse(cls, text: str) -> "CountZone":
        """Makes one of the corners `x1,y1,x2,y2,x3,y3...`, in pixels or as shares.

        Raises:
            UserError: It is not written so, or the zone has no area.
        """
        flag = "--count_zone"
        form = "give three or more corners in pixels or shares, as x1,y1,x2,y2,x3,y3"
        points = _Points.parse(flag, text, form)
        x, y = points.points.T
        if len(x) < 3 or np.dot(x, np.roll(y, 1)) == np.dot(y, np.roll(x, 1)):
            raise _wrong(flag, text, form)
        return cls(points)

    def place(self, height: int, width: int) -> None:
        """See `Counter`."""
        import supervision as sv

        corners = self._points.in_pixels(height, width)
        self._ring = np.concatenate([corners, corners[:1]])[:, ::-1].astype(np.float32)
        # What is beyond the picture's edge holds no object, and would only cost memory.
        corners = np.round(corners).clip(0, (width, height)).astype(np.int64)
        self._zone = sv.PolygonZone(corners, triggering_anchors=[sv.Position.BOTTOM_CENTER])

    @property
    def counts(self) -> dict[str, int]:
        """How many are inside now, and how many different ones have been."""
        return {"inside": self._inside, "so far": len(self._entered)}

    def by_class(self) -> dict[str, dict[int, int]]:
        """How many different ones have been inside so far, by class id."""
        found: dict[int, int] = {}
        for class_id in self._entered.values():
            found[class_id] = found.get(class_id, 0) + 1
        return {"so far": found}

    def update(self, detections: Detections) -> None:
        """See `Counter`."""
        followed = _followed(detections)
        inside = self._zone.trigger(followed)
        self._inside = int(inside.sum())
        for track, class_id in zip(
            followed.tracker_id[inside], followed.class_id[inside], strict=True
        ):
            self._entered.setdefault(int(track), int(class_id))

    def draw(self, picture: annotate.Yuv420, counts: Mapping[str, int]) -> None:
        """See `Counter`."""
        text = ", ".join(f"{count} {what}" for what, count in counts.items())
        _draw(picture, self._ring, text)


def parse(line: str | None, zone: str | None) -> tuple[Counter, ...]:
    """The counters that a user asked for with --count_line and --count_zone.

    Raises:
        UserError: One is not written as it should be.
    """
    counters: list[Counter] = []
    if line:
        counters.append(CountLine.parse(line))
    if zone:
        counters.append(CountZone.parse(zone))
    return tuple(counters)


def _followed(detections: Detections):
    import supervision as sv

    found = detections.select(detections.track_ids != UNTRACKED)
    return sv.Detections(
        xyxy=found.boxes[:, [1, 0, 3, 2]],
        class_id=found.classes.astype(int),
        tracker_id=found.track_ids.astype(int),
    )


def _draw(picture: annotate.Yuv420, outline: np.ndarray, text: str) -> None:
    at_start = np.tile(outline[0], 2)[None]
    # A trail fades towards its beginning; there and back shows the whole line.
    annotate.draw_boxes(
        picture,
        np.concatenate([at_start, at_start]),
        _COLOUR_NUMBERS,
        [text, ""],
        trails=[outline, outline[::-1].copy()],
    )


def _wrong(flag: str, text: str, form: str) -> UserError:
    return UserError(flag, f"found {text!r}", form)
