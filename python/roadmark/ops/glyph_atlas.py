"""Characters rasterised once per size, as the native drawing takes them."""

import functools
import importlib.util
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import ImageFont

_PRINTABLE_ASCII = frozenset(map(chr, range(0x20, 0x7F)))
# Not a character: fonts draw their sign for what they lack, most often a box.
_NO_CHARACTER = "\U0010ffff"


class GlyphAtlas:
    """The characters drawn so far in one size; more are added when they are first needed.

    Printable ASCII is there from the start. Characters that the font lacks look like a box. Safe
    to use from several threads.

    Attributes:
        line_height: From the top of the tallest to the bottom of the deepest letter, in pixels.

    Args:
        size: Pixels per em.
    """

    def __init__(self, size: int) -> None:
        self._font = ImageFont.truetype(
            str(_font_file()), size, layout_engine=ImageFont.Layout.BASIC
        )
        self._ascent, descent = self._font.getmetrics()
        self.line_height = self._ascent + descent
        self._lock = threading.Lock()
        self._unknown = self._rasterised(_NO_CHARACTER)
        self._bitmaps: dict[str, tuple[list[int], np.ndarray]] = {}
        self._known: frozenset[str] = frozenset()
        self._add(_PRINTABLE_ASCII)

    def arrays(self, texts: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """The glyphs of all characters seen so far, those of `texts` included.

        Returns:
            int32 `[N, 7]`: code point, columns and rows from pen and top of the line to the bitmap,
            its width and height, the advance (all in pixels), where the bitmap begins in the
            coverage. The first row is for unknown characters, the others are sorted.
            uint8 `[...]`: the coverage, 0 to 255, bitmap by bitmap in C order.
        """
        used = set().union(*texts)
        if not self._known.issuperset(used):
            self._add(used)
        return self._arrays

    def _add(self, characters: Iterable[str]) -> None:
        with self._lock:
            for character in characters:
                if character not in self._bitmaps:
                    self._bitmaps[character] = self._rasterised(character)
            self._arrays = self._packed()
            self._known = frozenset(self._bitmaps)

    def _rasterised(self, character: str) -> tuple[list[int], np.ndarray]:
        left, top, right, bottom = self._font.getbbox(character, anchor="ls")
        advance = round(self._font.getlength(character))
        if right <= left or bottom <= top:
            return [ord(character), 0, 0, 0, 0, advance], np.zeros((0, 0), np.uint8)
        mask, (left, top) = self._font.getmask2(character, mode="L", anchor="ls")
        width, height = mask.size
        bitmap = np.asarray(mask, np.uint8).reshape(height, width)
        return [ord(character), left, self._ascent + top, width, height, advance], bitmap

    def _packed(self) -> tuple[np.ndarray, np.ndarray]:
        glyphs = [self._unknown, *(self._bitmaps[key] for key in sorted(self._bitmaps))]
        ends = np.cumsum([bitmap.size for _, bitmap in glyphs])
        table = [[*row, end - bitmap.size] for (row, bitmap), end in zip(glyphs, ends, strict=True)]
        coverage = np.concatenate([bitmap.ravel() for _, bitmap in glyphs])
        return np.array(table, np.int32), coverage


@functools.lru_cache(maxsize=16)
def of_size(size: int) -> GlyphAtlas:
    """The atlas for text of `size` pixels per em, shared by all who draw with it."""
    return GlyphAtlas(size)


def code_points(texts: Sequence[str], length: int) -> np.ndarray:
    """Texts as `roadmark.ops.cuda.annotate` takes them.

    Args:
        texts: N of them; what is longer than `length` is cut.
        length: Characters.

    Returns:
        int32 `[N, length]`, padded with 0.
    """
    padded = np.zeros((len(texts), length), np.int32)
    for row, text in zip(padded, texts, strict=True):
        shown = text[:length]
        row[: len(shown)] = [ord(character) for character in shown]
    return padded


def _font_file() -> Path:
    # matplotlib ships DejaVu, which has Latin, Greek and Cyrillic; importing it would be slow.
    package = importlib.util.find_spec("matplotlib")
    return Path(
        package.submodule_search_locations[0], "mpl-data", "fonts", "ttf", "DejaVuSans-Bold.ttf"
    )
