"""The media type of an answer, chosen by the Accept header (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from roadmark.serving.refusal import RefusedError


def choose(header: str, offered: Sequence[str]) -> str:
    """The offered media type that the client likes best; of equals the first.

    Args:
        header: Its value; empty for anything.
        offered: What there is.

    Raises:
        RefusedError: The client takes none of them.
    """
    ranges = [_parse(one) for one in (header or "*/*").split(",")]
    likes = {one: _quality(one, ranges) for one in offered}
    best = max(offered, key=likes.__getitem__)
    if likes[best] <= 0:
        raise RefusedError(406, f"Accept: found {header!r}, expected {', '.join(offered)}")
    return best


def _parse(media_range: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in media_range.split(";"))
    quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """What the most precise range that matches says."""
    for pattern in (media_type, media_type.split("/")[0] + "/*", "*/*"):
        found = [quality for name, quality in ranges if name == pattern]
        if found:
            return max(found)
    return 0.0
