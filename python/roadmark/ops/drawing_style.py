"""How large lines and letters are drawn, and how opaque."""

from typing import NamedTuple

_MASK_OPACITY = 0.45


class Style(NamedTuple):
    """Sizes in pixels; opacities from 0 to 255."""

    text_size: int  # Pixels per em: `glyph_atlas.of_size`.
    line_width: int
    trail_width: int
    margin: int  # Left and right of a tag's text.
    opacity: int  # Of frames, tags and trails.
    mask_opacity: int


def style_of(height: int, width: int, opacity: float = 1.0) -> Style:
    """The style for a picture of this size.

    Args:
        height: Pixels.
        width: Pixels.
        opacity: Of frames, tags and trails, 0 to 1.

    Raises:
        ValueError: `opacity` is out of range.
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity: found {opacity}, expected 0 to 1")
    shorter = min(height, width)
    text_size = max(11, round(shorter / 40))
    line_width = max(2, round(shorter / 240))
    return Style(
        text_size=text_size,
        line_width=line_width,
        trail_width=line_width,
        margin=max(2, text_size // 5),
        opacity=round(opacity * 255),
        mask_opacity=round(_MASK_OPACITY * 255),
    )
