"""Makes short clips for tests: moving squares, with sound, rotation, odd sizes, damage."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

NTSC = Fraction(30000, 1001)
_SOUND_RATE = 48000


def make(
    path: Path,
    frames: int = 24,
    size: tuple[int, int] = (96, 64),
    rate: Fraction = NTSC,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    sound: str | None = None,
    rotation: int | None = None,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    colour: tuple[int, int, int] | None = None,
) -> Path:
    """Writes a clip of `frames` frames.

    Args:
        path: The file; its suffix chooses the container.
        frames: How many.
        size: Width and height in pixels, as stored.
        rate: Frames per second.
        codec: FFmpeg's name of the encoder.
        pix_fmt: FFmpeg's name of the pixel format.
        pts: Times of the frames in ticks of `time_base`; evenly spaced when absent.
        time_base: Seconds per tick; one frame when absent.
        sound: FFmpeg's name of an audio encoder for a tone of the same length.
        rotation: Counterclockwise turn in degrees that players are told to make.
        aspect: Sample aspect ratio.
        options: Of the encoder.
        container_options: Of the container.
        colour: H.273 matrix, H.273 primaries and FFmpeg's range (1 limited, 2 full).

    Returns:
        `path`.
    """
    base = time_base or 1 / rate
    with av.open(str(path), "w", options=container_options or {}) as container:
        video = container.add_stream(codec, rate=rate, time_base=base, options=options or {})
        video.width, video.height = size
        video.pix_fmt = pix_fmt
        if aspect is not None:
            video.sample_aspect_ratio = aspect
        if rotation is not None:
            video.set_display_rotation(rotation)
        if colour is not None:
            context = video.codec_context
            context.colorspace, context.color_primaries, context.color_range = colour
        tone = container.add_stream(sound, rate=_SOUND_RATE) if sound else None
        played = 0
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(index, size), "rgb24")
            frame.pts = index if pts is None else pts[index]
            frame.time_base = base
            container.mux(video.encode(frame.reformat(format=pix_fmt)))
            while tone is not None and played < frames / rate * _SOUND_RATE * (index + 1) / frames:
                container.mux(tone.encode(_tone(played)))
                played += 1024
        container.mux(video.encode(None))
        if tone is not None:
            container.mux(tone.encode(None))
    return path


def picture(index: int, size: tuple[int, int]) -> np.ndarray:
    """Frame `index`: a white square that walks over a fixed gradient with some grain."""
    width, height = size
    grain = np.random.default_rng(index).integers(0, 24, (height, width, 3))
    ramp = np.linspace(20, 200, width)[None, :, None] + np.array([0, 20, 40])
    image = (ramp + grain).astype(np.uint8)
    left = index * 2 % max(width - 16, 1)
    image[height // 2 : height // 2 + 16, left : left + 16] = 255
    return image


def damage(path: Path, number: int, start: float = 0.0) -> Path:
    """Overwrites video packet `number` in place, from the share `start` of its bytes on."""
    data = bytearray(path.read_bytes())
    first, size = _find_packet(path, number)
    for offset in range(first + round(size * start), first + size):
        data[offset] ^= 0x55
    path.write_bytes(data)
    return path


def truncate(path: Path, number: int) -> Path:
    """Ends the file, in place, in the middle of video packet `number`."""
    first, size = _find_packet(path, number)
    path.write_bytes(path.read_bytes()[: first + size // 2])
    return path


def _find_packet(path: Path, number: int) -> tuple[int, int]:
    """Where the bytes of a video packet lie in the file: offset and size."""
    with av.open(str(path)) as container:
        found = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data, end = path.read_bytes(), 0
    for packet in found[: number + 1]:
        first = data.index(packet, end)
        end = first + len(packet)
    return first, end - first


def _tone(start: int) -> av.AudioFrame:
    wave = 0.1 * np.sin(2 * np.pi * 440 * (np.arange(1024) + start) / _SOUND_RATE)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), "fltp", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = _SOUND_RATE, start, Fraction(1, _SOUND_RATE)
    return frame
