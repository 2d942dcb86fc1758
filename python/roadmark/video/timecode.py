"""Times as people write them."""

from roadmark.errors import UserError
from roadmark.video.reader import Span


def seconds(flag: str, text: str) -> float:
    """Seconds from `90`, `90.5`, `1:30` or `0:01:30`.

    Args:
        flag: Where the text is from, for the message.
        text: The time.

    Raises:
        UserError: It is not written so.
    """
    parts = text.split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    is_time = 1 <= len(values) <= 3 and all(0 <= value < float("inf") for value in values)
    if not is_time or any(value >= 60 for value in values[1:]):
        raise UserError(flag, f"found {text!r}", "give seconds, as 90, or a time, as 1:30")
    total = 0.0
    for value in values:
        total = total * 60 + value
    return total


def span(start: str, end: str | None, max_fps: float | None) -> Span:
    """What --start, --end and --max_fps ask for.

    Raises:
        UserError: A time is not written as one, or the end is not after the start.
    """
    start_s = seconds("--start", start)
    end_s = None if end is None else seconds("--end", end)
    if end_s is not None and end_s <= start_s:
        raise UserError("--end", f"found {end}, which is not after --start", "end later")
    return Span(start_s, end_s, max_fps)
