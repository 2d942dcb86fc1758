"""FFmpeg: its program where there is one, else its libraries through PyAV in one loop."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any

import av
import numpy as np

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]

PROGRAM = "ffmpeg"


def transcoding(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Decodes a clip and encodes it again with the options `encoder`, without sound."""
    del arrays, threads
    transcode = _by_program if shutil.which(PROGRAM) else _by_library

    def call() -> None:
        with tempfile.TemporaryDirectory() as folder:
            transcode(options["clip"], f"{folder}/out.mp4", options["encoder"])

    return call, lambda _: {}


def _by_program(clip: str, out: str, encoder: dict[str, str]) -> None:
    quality = [part for name, value in encoder.items() for part in (f"-{name}", value)]
    command = [PROGRAM, "-v", "error", "-i", clip, "-an", "-c:v", "libx264", *quality, out]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _by_library(clip: str, out: str, encoder: dict[str, str]) -> None:
    with av.open(clip) as source, av.open(out, "w") as target:
        video = source.streams.video[0]
        video.thread_type = "AUTO"
        stream = target.add_stream("libx264", rate=video.average_rate, options=encoder)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, video.pix_fmt
        stream.thread_type = "AUTO"
        for frame in source.decode(video):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
