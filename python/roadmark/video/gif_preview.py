"""A small looping GIF of a video, with the palette that suits it best."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from roadmark.atomic import atomic_path

_WIDTH = 480
_RATE = 10
_LONGEST_S = 12
# FFmpeg's filters. The palette is made of what moves; dithering in a fixed pattern compresses well
# and does not flicker.
_PALETTE = ("palettegen", "stats_mode=diff")
_DITHERING = ("paletteuse", "dither=bayer:bayer_scale=4")


def write(video: Path, out: Path) -> int:
    """Writes a GIF of the first seconds of a video; it repeats for ever.

    Args:
        video: As `VideoWriter` writes it.
        out: The file.

    Returns:
        How many frames it has.
    """
    with atomic_path(out) as temporary, av.open(str(video)) as source:
        return _write(source, temporary)


def _write(source: av.container.InputContainer, out: Path) -> int:
    stream = source.streams.video[0]
    graph = _graph(stream)
    for frame in source.decode(stream):
        if frame.time > _LONGEST_S:
            break
        graph.vpush(frame)
    graph.vpush(None)
    count = 0
    with av.open(str(out), "w", format="gif", options={"loop": "0"}) as container:
        target = container.add_stream("gif", rate=_RATE)
        for picture in _pulled(graph):
            if not count:
                target.width, target.height = picture.width, picture.height
                target.pix_fmt = "pal8"
            picture.pts, picture.time_base = count, Fraction(1, _RATE)
            container.mux(target.encode(picture))
            count += 1
        container.mux(target.encode(None))
    return count


def _graph(stream: av.VideoStream) -> av.filter.Graph:
    graph = av.filter.Graph()
    begin = graph.add_buffer(template=stream)
    fewer = graph.add("fps", str(_RATE))
    smaller = graph.add("scale", f"'min({_WIDTH},iw)':-2:flags=lanczos")
    begin.link_to(fewer)
    fewer.link_to(smaller)
    split, palette, dithering = (graph.add(*one) for one in (("split",), _PALETTE, _DITHERING))
    smaller.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(dithering, 1, 0)
    palette.link_to(dithering, 0, 1)
    dithering.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _pulled(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.EOFError, av.error.BlockingIOError):
            return
