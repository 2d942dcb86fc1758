"""Any format to the yuv420p that is looked at, drawn on and encoded; YUV to RGB for who needs it.

A decoded frame says which matrix and range its samples use; converting with another one shifts
every colour. Samples that are yuv420p already are taken as they are.
"""

import dataclasses

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from roadmark.ops.preprocess import BT601, BT709
from roadmark.video import yuv_frame
from roadmark.video.frame_pool import FramePool

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
# Shares of red and blue in luma, of the same document.
_LUMA_WEIGHTS = {
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.ITU601: (0.299, 0.114),
    Colorspace.SMPTE240M: (0.212, 0.087),
    Colorspace.BT2020: (0.2627, 0.0593),
}
_MODEL_MATRICES = {Colorspace.ITU601: BT601, Colorspace.ITU709: BT709}


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

    def to_yuv420p(
        self, frame: av.VideoFrame, pool: FramePool, quarter_turns: int = 0
    ) -> av.VideoFrame:
        """The frame as yuv420p in memory of its own, which the decoder does not look at again.

        Args:
            frame: Of any format. The samples of yuv420p stay as they are.
            pool: Gives the memory.
            quarter_turns: How often to turn it by 90 degrees, counterclockwise.
        """
        if frame.format.name not in yuv_frame.SAME_LAYOUT:
            frame = frame.reformat(
                format=yuv_frame.FORMAT,
                src_colorspace=self.conversion,
                dst_colorspace=self.conversion,
                src_color_range=ColorRange.JPEG if frame.format.is_rgb else self._range,
                dst_color_range=self._range,
                interpolation=_EXACT,
            )
        turned = [np.rot90(plane, quarter_turns) for plane in yuv_frame.planes(frame)]
        height, width = turned[0].shape
        copy = pool.take(width, height)
        yuv_frame.fill(copy, turned)
        self.tag(copy)
        return copy

    def tag(self, what: av.VideoFrame | av.VideoCodecContext) -> None:
        """Has a frame say these colours, or an encoder write them into its stream."""
        what.colorspace, what.color_range = self.matrix, self._range
        what.color_primaries, what.color_trc = self.primaries, self.transfer

    @property
    def model_matrix(self) -> str | None:
        """The matrix by its name in `roadmark.ops.preprocess`; None for one that it lacks."""
        return _MODEL_MATRICES.get(self.conversion)

    @property
    def luma_weights(self) -> tuple[float, float]:
        """The shares of red and blue in luma that the samples are taken to have."""
        return _LUMA_WEIGHTS[self.conversion]

    @property
    def _range(self) -> ColorRange:
        return ColorRange.JPEG if self.full_range else ColorRange.MPEG
