// A picture to draw on in place, as packed RGB or as 4:2:0 planes.
//
// Chroma samples of a 4:2:0 picture are drawn by coverage: a sample stands for the 4 pixels that it
// lies over, or the 2 or 1 of them that the picture has at an odd right or bottom edge, and is
// mixed with the new colour in the mean of their alphas. That is what converting the drawn RGB
// picture gives, and leaves every sample alone that lies over no drawn pixel.
#ifndef ROADMARK_CC_ANNOTATE_CANVAS_H_
#define ROADMARK_CC_ANNOTATE_CANVAS_H_

#include <cstdint>
#include <vector>

#include "cc/math.h"

namespace roadmark {

enum class PixelLayout {
  kRgb,   // One plane, uint8 [height, width, 3].
  kI420,  // Y [height, width], Cb and Cr [ceil(height / 2), ceil(width / 2)].
  kNv12,  // Y [height, width], Cb and Cr in turn [ceil(height / 2), ceil(width / 2), 2].
};

struct Plane {
  uint8_t* samples;
  int64_t stride;  // Bytes from one row to the next; may be negative.
};

// How Y, Cb and Cr follow from R, G and B (ITU-T H.273): BT.601 is {0.299, 0.114}, BT.709 is
// {0.2126, 0.0722}.
struct YuvEncoding {
  double kr, kb;
  bool full_range;  // Y from 0 to 255 instead of 16 to 235.
};

struct Canvas {
  PixelLayout layout;
  int64_t height, width;
  Plane planes[3];
  YuvEncoding encoding;  // Not used for RGB.
};

// A colour in the samples of one canvas: R, G, B or Y, Cb, Cr.
struct Ink {
  uint8_t samples[3];
};

Ink MakeInk(const Canvas& canvas, const uint8_t* rgb);

// Pixels from `top` and `left` up to, without, `bottom` and `right`.
struct Rect {
  int64_t top, left, bottom, right;

  ROADMARK_INLINE bool empty() const { return bottom <= top || right <= left; }
  ROADMARK_INLINE int64_t area() const { return empty() ? 0 : (bottom - top) * (right - left); }
};

ROADMARK_INLINE Rect Intersection(const Rect& a, const Rect& b) {
  return {a.top > b.top ? a.top : b.top, a.left > b.left ? a.left : b.left,
          a.bottom < b.bottom ? a.bottom : b.bottom, a.right < b.right ? a.right : b.right};
}

// The smallest that both lie in.
ROADMARK_INLINE Rect Union(const Rect& a, const Rect& b) {
  return {a.top < b.top ? a.top : b.top, a.left < b.left ? a.left : b.left,
          a.bottom > b.bottom ? a.bottom : b.bottom, a.right > b.right ? a.right : b.right};
}

inline Rect Bounds(const Canvas& canvas) { return {0, 0, canvas.height, canvas.width}; }

// `alpha` runs from 0 (nothing changes) to 255 (opaque).

// Fills what is in `outer` and not in `inner`, which lies within it or is empty.
void FillFrame(const Canvas& canvas, const Rect& outer, const Rect& inner, const Ink& ink,
               int alpha);

// Alphas of pixels within a canvas, to be set one by one and then blended in one go.
class AlphaTile {
 public:
  // All of them are 0 at first. What lies outside of the canvas is cut off.
  void Reset(const Canvas& canvas, const Rect& bounds);

  // The pixels inside.
  const Rect& bounds() const { return bounds_; }

  // The alphas of row `y`, to be indexed by x - bounds().left.
  uint8_t* Row(int64_t y) { return alphas_.data() + Offset(y) + bounds_.left - left_; }

  // Blends what is not 0, or what lies within `drawn`, where all that is not 0 does.
  void Blend(const Canvas& canvas, const Ink& ink);
  void Blend(const Canvas& canvas, const Ink& ink, const Rect& drawn);

 private:
  // At an odd right edge of the canvas a chroma sample has but one column.
  void RepeatLastColumn(const Canvas& canvas);
  int64_t Offset(int64_t y) const { return (y - top_) * stride_; }

  Rect bounds_;
  int64_t top_, left_, stride_;  // Even, so that pairs of alphas are those under a chroma sample.
  std::vector<uint8_t> alphas_;
};

// Blends with `alpha` where `mask`, bool [height, width] of the canvas, is not 0.
void BlendMask(const Canvas& canvas, const uint8_t* mask, const Ink& ink, int alpha);

}  // namespace roadmark

#endif  // ROADMARK_CC_ANNOTATE_CANVAS_H_
