"""Objects followed from frame to frame: their ids, where they were, and lines that they cross."""

import collections
import dataclasses

import numpy as np

from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.ops import annotate

# What `Detections.track_ids` holds for an object that was not followed yet.
UNTRACKED = 0
# The score that a detection should have to go on with a track, as in ByteTrack's paper.
WEAK = 0.1
_TRAIL_S = 2.0
_FORGET_S = 1.0


@dataclasses.dataclass(frozen=True)
class Tracked:
    """A frame's objects, and what is known of them from before.

    Attributes:
        detections: With `track_ids`; `UNTRACKED` for an object in its first frame.
        trails: For each object float32 `[points, 2]`, y and x in pixels of where it stood (the
            middle of its lower edge) in the last seconds, the oldest first.
    """

    detections: Detections
    trails: tuple[np.ndarray, ...]


class Tracker:
    """Gives objects ids that stay the same, by ByteTrack (Zhang et al. 2022, arXiv:2110.06864).

    The boxes alone decide: a class that flickers does not end a track.

    Args:
        score_threshold: Detections above it begin tracks; those below only go on with one, and are
            left out where they do not.
    """

    def __init__(self, score_threshold: float) -> None:
        from trackers import ByteTrackTracker  # takes a second to import, needed by few

        self._score_threshold = score_threshold
        self._tracker = ByteTrackTracker(
            lost_track_buffer=round(_FORGET_S * 30),
            track_activation_threshold=score_threshold,
            high_conf_det_threshold=score_threshold,
        )
        self._trails: dict[int, collections.deque[tuple[float, float, float]]] = {}

    def update(self, detections: Detections, time_s: float) -> Tracked:
        """Follows the objects into the next frame.

        Args:
            detections: What was found in it, with scores down to `WEAK`.
            time_s: Its time, later than that of the last.
        """
        ids = self._ids(detections, time_s)
        shown = (ids != UNTRACKED) | (detections.scores > self._score_threshold)
        detections, ids = detections.select(shown), ids[shown]
        for track, box in zip(ids.tolist(), detections.boxes.tolist(), strict=True):
            if track != UNTRACKED:
                trail = self._trails.setdefault(track, collections.deque())
                trail.append((time_s, box[2], (box[1] + box[3]) / 2))
        self._forget_before(time_s - _TRAIL_S)
        trails = tuple(self._trail(track) for track in ids.tolist())
        return Tracked(dataclasses.replace(detections, track_ids=ids), trails)

    def _ids(self, detections: Detections, time_s: float) -> np.ndarray:
        import supervision as sv

        order = np.arange(len(detections))
        given = sv.Detections(
            xyxy=detections.boxes[:, [1, 0, 3, 2]],
            confidence=detections.scores,
            class_id=detections.classes.astype(int),
            data={"order": order},
        )
        followed = self._tracker.update(given, timestamp=time_s)
        ids = np.full(len(detections), UNTRACKED, np.int32)
        if len(followed):
            # Theirs begin at 0, and -1 is none.
            ids[followed.data["order"]] = followed.tracker_id + 1
        return ids

    def _trail(self, track: int) -> np.ndarray:
        points = [(y, x) for _, y, x in self._trails.get(track, ())]
        return np.array(points, np.float32).reshape(-1, 2)

    def _forget_before(self, time_s: float) -> None:
        for track, trail in list(self._trails.items()):
            while trail and trail[0][0] < time_s:
                trail.popleft()
            if not trail:
                del self._trails[track]


class CountLine:
    """Counts tracked objects that cross a line with the middle of their lower edge.

    Looking from the line's start to its end, `to the right` are those that cross from its left.

    Args:
        start: x and y in pixels.
        end: x and y in pixels.
    """

    def __init__(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        import supervision as sv

        self._ends = np.array([start[::-1], end[::-1]], np.float32)
        self._zone = sv.LineZone(
            sv.Point(*start), sv.Point(*end), triggering_anchors=[sv.Position.BOTTOM_CENTER]
        )

    @classmethod
    def parse(cls, text: str) -> "CountLine":
        """Makes one of `x1,y1,x2,y2`.

        Raises:
            UserError: It is not written so.
        """
        try:
            x1, y1, x2, y2 = (float(part) for part in text.split(","))
        except ValueError:
            x1 = y1 = x2 = y2 = float("nan")
        if not np.isfinite([x1, y1, x2, y2]).all() or (x1, y1) == (x2, y2):
            raise UserError(
                "--count_line", f"found {text!r}", "give two points in pixels, as x1,y1,x2,y2"
            )
        return cls((x1, y1), (x2, y2))

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
        """Looks at the next frame's tracked objects."""
        import supervision as sv

        followed = detections.select(detections.track_ids != UNTRACKED)
        self._zone.trigger(
            sv.Detections(
                xyxy=followed.boxes[:, [1, 0, 3, 2]],
                class_id=followed.classes.astype(int),
                tracker_id=followed.track_ids.astype(int),
            )
        )

    def draw(self, picture: annotate.Yuv420, counts: dict[str, int]) -> None:
        """Draws the line and the counts at a frame."""
        text = ", ".join(f"{count} {direction}" for direction, count in counts.items())
        at_start = np.tile(self._ends[0], 2)[None]
        # A trail fades towards its beginning; there and back shows the whole line.
        annotate.draw_boxes(
            picture,
            np.concatenate([at_start, at_start]),
            np.array([4, 4]),
            [text, ""],
            trails=[self._ends, self._ends[::-1].copy()],
        )
