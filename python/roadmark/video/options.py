"""What a user may choose about an annotated video."""

import dataclasses
from pathlib import Path
from typing import Any

from roadmark.video import codecs
from roadmark.video.counting import Counter
from roadmark.video.reader import WHOLE, Span
from roadmark.video.side_by_side import SideBySide
from roadmark.video.tracking import Tracker


@dataclasses.dataclass(frozen=True)
class VideoOptions:
    """Choices for `annotate_video`.

    Attributes:
        batch_size: Frames that go through the stages together; at the end there may be fewer.
        stride: The detector looks at every such frame; those between show what it found last.
        span: Which part is read, and how many frames a second of it.
        codec: A name in `codecs.ENCODERS`, or `auto`.
        show_fps: Shows the speed of the work in a corner of the picture.
        crops: A folder for a picture of each object found, or None.
        gif: A file for a small looping preview, or None.
        tracker: Follows objects from frame to frame, or None.
        counters: Count objects at lines and in zones; they need a tracker.
        side_by_side: Shows what another model finds next to what the first does, or None.
        page: A file for the run's page, or None.
        fps: Frames per second of a film that is made of pictures.
        resume: Takes what an interrupted run with the same choices has found, and goes on.
        model: What tells the model and its settings from others; see `resume`.
        about: The model in words, for the page.
    """

    batch_size: int = 1
    stride: int = 1
    span: Span = WHOLE
    codec: str = codecs.AUTO
    show_fps: bool = False
    crops: Path | None = None
    gif: Path | None = None
    tracker: Tracker | None = None
    counters: tuple[Counter, ...] = ()
    side_by_side: SideBySide | None = None
    page: Path | None = None
    fps: float | None = None
    resume: bool = False
    model: str = ""
    about: str = ""

    def job(self, source: Path) -> dict[str, Any]:
        """What must be the same for results of an earlier run to be of use."""
        return {
            "video": source.name,
            "bytes": source.stat().st_size if source.is_file() else None,
            "model": self.model,
            "stride": self.stride,
            "fps": self.fps,
            **dataclasses.asdict(self.span),
        }


DEFAULTS = VideoOptions()
