"""The clip that the suite `video` runs on, made once."""

from fractions import Fraction
from pathlib import Path

import av

from roadmark.atomic import atomic_path
from roadmark.data import synthetic_clip

_SEED = 11
_RENDERED_S = 4.0
_RATE = 30
_BT601 = 6  # As ITU-T H.273 numbers it.
# What both sides of every ratio encode with.
ENCODER_OPTIONS = {"preset": "veryfast", "crf": "23"}


def make(folder: Path, frames: int, width: int, height: int) -> Path:
    """An H.264 clip of a drive down a synthetic street; an earlier one is used again.

    Args:
        folder: Where it is kept.
        frames: How many; the drive is repeated as often as needed.
        width: In pixels.
        height: In pixels.
    """
    path = folder / f"street_{width}x{height}_{frames}.mp4"
    if path.exists():
        return path
    drive = folder / "street.mp4"
    if not drive.exists():
        synthetic_clip.render_clip(drive, _RENDERED_S, _SEED)
    with av.open(str(drive)) as source:
        pictures = [frame.reformat(width, height, "yuv420p") for frame in source.decode(video=0)]
    with atomic_path(path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE, options=ENCODER_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # Said, so that both sides see the same colours: OpenCV takes all video for BT.601.
        stream.codec_context.colorspace = _BT601
        for index in range(frames):
            picture = pictures[index % len(pictures)]
            picture.pts, picture.time_base = index, Fraction(1, _RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path
