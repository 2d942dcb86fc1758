// How much two boxes overlap.
#ifndef ROADMARK_CC_NMS_OVERLAP_H_
#define ROADMARK_CC_NMS_OVERLAP_H_

#include <limits>

#include "cc/box.h"
#include "cc/math.h"

namespace roadmark {

struct BoxWithArea {
  Box box;  // Corners in order.
  float area;
};

// Inside out and infinitely far away: its intersection with any box is exactly 0.
ROADMARK_INLINE BoxWithArea Nowhere() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {{kInfinity, kInfinity, -kInfinity, -kInfinity}, 1.0f};
}

ROADMARK_INLINE float Smaller(float a, float b) { return a < b ? a : b; }
ROADMARK_INLINE float Larger(float a, float b) { return a > b ? a : b; }

ROADMARK_INLINE bool IsFinite(float value) { return value - value == 0.0f; }

// Nowhere() for a box without area, or with a corner that is not finite.
ROADMARK_INLINE BoxWithArea WithArea(const Box& box) {
  const bool finite =
      IsFinite(box.ymin) && IsFinite(box.xmin) && IsFinite(box.ymax) && IsFinite(box.xmax);
  if (!finite) return Nowhere();
  const Box ordered = {Smaller(box.ymin, box.ymax), Smaller(box.xmin, box.xmax),
                       Larger(box.ymin, box.ymax), Larger(box.xmin, box.xmax)};
  const float area = (ordered.ymax - ordered.ymin) * (ordered.xmax - ordered.xmin);
  if (!(area > 0.0f)) return Nowhere();
  return {ordered, area};
}

struct Overlap {
  float intersection, union_area;
};

// In float32, in TensorFlow's order of operations.
ROADMARK_INLINE Overlap OverlapOf(const BoxWithArea& a, const BoxWithArea& b) {
  const float height = Smaller(a.box.ymax, b.box.ymax) - Larger(a.box.ymin, b.box.ymin);
  const float width = Smaller(a.box.xmax, b.box.xmax) - Larger(a.box.xmin, b.box.xmin);
  const float intersection = Larger(height, 0.0f) * Larger(width, 0.0f);
  return {intersection, b.area + a.area - intersection};
}

// Intersection over union. Not a number where both areas are infinite.
ROADMARK_INLINE float Iou(const BoxWithArea& a, const BoxWithArea& b) {
  const Overlap overlap = OverlapOf(a, b);
  return overlap.intersection / overlap.union_area;
}

}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_OVERLAP_H_
