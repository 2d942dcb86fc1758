"""Writes small picture files for tests of data sets."""

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 60, 80


def write(path: Path, height: int = HEIGHT, width: int = WIDTH, seed: int | None = None) -> Path:
    """Writes a picture of noise; its format is that of the suffix.

    Args:
        path: Its folder is made when missing.
        height: Pixels.
        width: Pixels.
        seed: Of the noise; the file's name when absent, so that pictures differ.

    Returns:
        `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.name.encode()) if seed is None else seed)
    Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return path
