"""Objects followed from frame to frame: their ids, and where they were."""

import collections
import dataclasses

import numpy as np

from roadmark.detections import LABEL, LABEL_PROBABILITY, Detections

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

    The boxes alone decide: a class that flickers does not end a track. A class that a classifier
    gave does not flicker: each object has the one that it was given most often and most surely.

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
        self._votes: dict[int, collections.Counter[int]] = {}

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
        classes = self._voted(detections, ids)
        return Tracked(dataclasses.replace(detections, classes=classes, track_ids=ids), trails)

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

    def _voted(self, detections: Detections, ids: np.ndarray) -> np.ndarray:
        """The classes; of objects that a classifier names, by all frames that they are in."""
        if LABEL not in detections.attributes:
            return detections.classes
        # Not the classes: those that a resumed run knows have been voted on.
        labels = detections.attributes[LABEL]
        probabilities = detections.attributes[LABEL_PROBABILITY]
        classes = labels.copy()
        for index in np.flatnonzero((ids != UNTRACKED) & (probabilities >= 0)):
            votes = self._votes.setdefault(int(ids[index]), collections.Counter())
            if probabilities[index] > 0:
                votes[int(labels[index])] += float(probabilities[index])
            if votes:
                classes[index] = max(votes, key=votes.__getitem__)
        return classes

    def _trail(self, track: int) -> np.ndarray:
        points = [(y, x) for _, y, x in self._trails.get(track, ())]
        return np.array(points, np.float32).reshape(-1, 2)

    def _forget_before(self, time_s: float) -> None:
        for track, trail in list(self._trails.items()):
            while trail and trail[0][0] < time_s:
                trail.popleft()
            if not trail:
                del self._trails[track]
                self._votes.pop(track, None)
