"""YUV to RGB and back without changing the colours of a video.

A decoded frame says which matrix and range its samples use; converting with another one shifts
every colour. Both directions go through here, so that what was not drawn on keeps its colour.
"""

import dataclasses

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

# Rounds properly and keeps full chroma resolution. The fast default darkens every frame by about
# one grey level per round trip.
_EXACT = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND

# Code points of ITU-T H.273: matrix coefficients, then FFmpeg's colour ranges.
_MATRIX_RGB, _MATRIX_BT709, _MATRIX_UNSPECIFIED = 0, 1, 2
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


@dataclasses.dataclass(frozen=True)
class Colour:
    """How the samples of a video mean colours.

    Attributes:
        matrix: H.273 matrix coefficients, as the stream says them (2: it does not say).
        primaries: H.273 colour primaries.
        transfer: H.273 transfer characteristics.
        full_range: Whether luma runs from 0 to 255 instead of 16 to 235.
        conversion: The matrix to convert with, which is `matrix` where that is known.
    """

    matrix: int
    primaries: int
    transfer: int
    full_range: bool
    conversion: Colorspace

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Colour":
        """The colour of a decoded frame; RGB sources are given BT.709 in limited range."""
        if frame.format.is_rgb or frame.format.has_palette or frame.colorspace == _MATRIX_RGB:
            return cls(_MATRIX_BT709, 1, 1, False, Colorspace.ITU709)
        full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        conversion = _MATRICES.get(frame.colorspace)
        if conversion is None:
            # What players assume of untagged video: BT.709 in HD, BT.601 below.
            is_hd = frame.width >= 1280 or frame.height > 576
            conversion = Colorspace.ITU709 if is_hd else Colorspace.ITU601
        return cls(
            int(frame.colorspace),
            int(frame.color_primaries),
            int(frame.color_trc),
            full,
            conversion,
        )

    def to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """The frame as uint8 `[H, W, 3]` RGB, as stored (not rotated)."""
        return frame.to_ndarray(
            format="rgb24",
            src_colorspace=self.conversion,
            src_color_range=self._range,
            dst_color_range=ColorRange.JPEG,
            interpolation=_EXACT,
        )

    def to_yuv(self, image: np.ndarray) -> av.VideoFrame:
        """A yuv420p frame of an uint8 `[H, W, 3]` RGB image with even sides, tagged alike."""
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
        frame = rgb.reformat(
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_colorspace=self.conversion,
            dst_color_range=self._range,
            interpolation=_EXACT,
        )
        frame.colorspace, frame.color_range = self.matrix, self._range
        frame.color_primaries, frame.color_trc = self.primaries, self.transfer
        return frame

    def tag(self, encoder: av.VideoCodecContext) -> None:
        """Has `encoder` write these colours into the stream."""
        encoder.colorspace, encoder.color_range = self.matrix, self._range
        encoder.color_primaries, encoder.color_trc = self.primaries, self.transfer

    @property
    def _range(self) -> ColorRange:
        return ColorRange.JPEG if self.full_range else ColorRange.MPEG
