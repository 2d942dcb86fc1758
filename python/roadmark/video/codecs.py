"""Which codecs can be written, by which encoder, into which container."""

import dataclasses
from pathlib import Path

import av

from roadmark.errors import UserError
from roadmark.video.partial import Report

AUTO = "auto"
_MPEG4, _GIF = "mpeg4", "gif"
# Encoders by codec, best first: builds of FFmpeg differ in which of them they contain.
ENCODERS = {
    "h264": ("libx264", "libopenh264", _MPEG4),
    "hevc": ("libx265", "libkvazaar", "libx264"),
    "vp9": ("libvpx-vp9", "libvpx"),
    "av1": ("libsvtav1", "libaom-av1", "librav1e", "libvpx-vp9"),
    "gif": (_GIF,),
}
# Codecs by file type, the usual one first.
CONTAINERS = {
    ".mp4": ("h264", "hevc", "av1", "vp9"),
    ".mov": ("h264", "hevc"),
    ".mkv": ("h264", "hevc", "vp9", "av1"),
    ".webm": ("vp9", "av1"),
    ".avi": ("h264",),
    ".gif": ("gif",),
}
OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "23"},
    "libopenh264": {"b": "4000000"},
    "mpeg4": {"b": "6000000"},
    "libx265": {"preset": "veryfast", "crf": "26", "x265-params": "log-level=error"},
    "libkvazaar": {"b": "4000000"},
    "libvpx-vp9": {"crf": "31", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
    "libvpx": {"crf": "10", "b": "4000000", "deadline": "realtime", "cpu-used": "6"},
    "libsvtav1": {"preset": "10", "crf": "35"},
    "libaom-av1": {"crf": "35", "b": "0", "usage": "realtime", "cpu-used": "8", "row-mt": "1"},
    "librav1e": {"speed": "10", "qp": "120"},
    _GIF: {},
}
_ANY_SIZE = frozenset({"libvpx-vp9", "libvpx", "libaom-av1", "librav1e", _GIF})
# MPEG-4 Part 2 stores the ticks per second in 16 bits.
# GIF counts in hundredths.
_MAX_TICKS = {_MPEG4: 60000, _GIF: 100}
# AVI knows no times, only a rate and how many frames came before; so none may be out of order.
_COUNTS_FRAMES = ".avi"
_IN_ORDER = {"bf": "0"}


@dataclasses.dataclass(frozen=True)
class Encoder:
    """What encodes a video.

    Attributes:
        name: FFmpeg's.
        options: For a good picture at a high speed.
        takes_odd_sizes: Whether width and height may be odd.
        max_ticks: The finest time base that it can store, in ticks per second; None for any.
        has_palette: Whether each frame has 256 colours of its own, and the first is at second 0.
        counts_frames: Whether the container keeps no times but those of a constant rate from
            second 0 on.
    """

    name: str
    options: dict[str, str]
    takes_odd_sizes: bool
    max_ticks: int | None
    has_palette: bool = False
    counts_frames: bool = False


def check(path: Path, codec: str) -> None:
    """Raises UserError when a file of this name cannot be written, or cannot hold the codec."""
    codecs = CONTAINERS.get(path.suffix.lower())
    if codecs is None:
        found = f"videos of type {path.suffix}" if path.suffix else "a video without a file type"
        raise UserError(path, f"cannot write {found}", f"end the name in {', '.join(CONTAINERS)}")
    if codec != AUTO and codec not in codecs:
        fitting = [suffix for suffix, held in CONTAINERS.items() if codec in held]
        cure = f"end the name in {', '.join(fitting)}" if fitting else "choose another --codec"
        raise UserError(path, f"{path.suffix} cannot hold {codec}", cure)


def choose(path: Path, codec: str, report: Report) -> Encoder:
    """The encoder for a file.

    Args:
        path: The file.
        codec: A name in `ENCODERS`, or `auto` for the usual one of the file's type.
        report: Hears when another encoder than the usual one has to do.

    Raises:
        UserError: This FFmpeg has none.
    """
    codec = CONTAINERS[path.suffix.lower()][0] if codec == AUTO else codec
    names = ENCODERS[codec]
    for name in names:
        if not _is_there(name):
            continue
        if name != names[0]:
            report(f"this FFmpeg has no {names[0]}; the video is encoded with {name}")
        counts = path.suffix.lower() == _COUNTS_FRAMES
        return Encoder(
            name,
            OPTIONS[name] | (_IN_ORDER if counts else {}),
            name in _ANY_SIZE,
            _MAX_TICKS.get(name),
            name == _GIF,
            counts,
        )
    raise UserError(
        path.suffix, f"this FFmpeg has none of {', '.join(names)}", "choose another file type"
    )


def _is_there(name: str) -> bool:
    return name in av.codecs_available and av.Codec(name, "w").is_encoder
