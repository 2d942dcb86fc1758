"""Frames in the 256 colours that suit each of them best, as GIF stores them."""

from fractions import Fraction

import av

from roadmark.video import yuv_frame

FORMAT = "pal8"
# FFmpeg's filters. A fixed pattern of dithering compresses well and does not flicker.
_PALETTE = ("palettegen", "stats_mode=single")
_DITHERING = ("paletteuse", "new=1:dither=bayer:bayer_scale=4")


class Palette:
    """Turns frames into ones with a palette, one after the other, without keeping any.

    Args:
        width: Of the frames, in pixels.
        height: Of the frames, in pixels.
        time_base: Of the frames.
    """

    def __init__(self, width: int, height: int, time_base: Fraction) -> None:
        graph = av.filter.Graph()
        begin = graph.add_buffer(
            width=width, height=height, format=yuv_frame.FORMAT, time_base=time_base
        )
        split, palette, dithering = (graph.add(*one) for one in (("split",), _PALETTE, _DITHERING))
        begin.link_to(split)
        split.link_to(palette, 0, 0)
        split.link_to(dithering, 1, 0)
        palette.link_to(dithering, 0, 1)
        dithering.link_to(graph.add("buffersink"))
        graph.configure()
        self._graph = graph

    def convert(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame with a palette, and the same time.

        Args:
            frame: yuv420p, with `pts` in ticks of `time_base`.
        """
        self._graph.vpush(frame)
        return self._graph.vpull()
