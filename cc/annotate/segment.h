// What one segment of a trail does to one pixel.
#ifndef ROADMARK_CC_ANNOTATE_SEGMENT_H_
#define ROADMARK_CC_ANNOTATE_SEGMENT_H_

#include <cmath>
#include <cstdint>

#include "cc/annotate/annotate.h"
#include "cc/annotate/canvas.h"
#include "cc/math.h"

namespace roadmark {

struct Segment {
  Point from, to;
  float radius;   // Pixels.
  float opacity;  // 0 to 255.

  // How far from its line a pixel can be that it colours.
  ROADMARK_INLINE float reach() const { return radius + 1; }
};

ROADMARK_INLINE float Clamped(float value, float low, float high) {
  value = value < low ? low : value;
  return value > high ? high : value;
}

// Segment `index`, from 0, of the trail through `count` points, which fades towards the first.
ROADMARK_INLINE Segment SegmentOf(const Point* points, int64_t count, int64_t index, int64_t width,
                                  int opacity) {
  // Far outside of any picture, and small enough for float32 to tell pixels apart.
  const float kFar = 1 << 20;
  const Point& from = points[index];
  const Point& to = points[index + 1];
  const float faded =
      static_cast<float>(opacity) * static_cast<float>(index + 1) / static_cast<float>(count - 1);
  return {{Clamped(from.y, -kFar, kFar), Clamped(from.x, -kFar, kFar)},
          {Clamped(to.y, -kFar, kFar), Clamped(to.x, -kFar, kFar)},
          static_cast<float>(width) / 2,
          faded};
}

// The pixels that it may colour.
ROADMARK_INLINE Rect Around(const Segment& segment) {
  const Point &a = segment.from, &b = segment.to;
  const float reach = segment.reach();
  return {static_cast<int64_t>(floorf((a.y < b.y ? a.y : b.y) - reach)),
          static_cast<int64_t>(floorf((a.x < b.x ? a.x : b.x) - reach)),
          static_cast<int64_t>(ceilf((a.y < b.y ? b.y : a.y) + reach)),
          static_cast<int64_t>(ceilf((a.x < b.x ? b.x : a.x) + reach))};
}

// The part that can colour row `y`, so that long segments cost no more than their pixels.
ROADMARK_INLINE Segment PartNear(const Segment& segment, int64_t y) {
  const float length = segment.to.y - segment.from.y, reach = segment.reach();
  if (fabsf(length) < 1) return segment;
  const float row = static_cast<float>(y) + 0.5f;
  const float a = (row - reach - segment.from.y) / length;
  const float b = (row + reach - segment.from.y) / length;
  const float first = Clamped(a < b ? a : b, 0.0f, 1.0f), last = Clamped(a < b ? b : a, 0.0f, 1.0f);
  Segment part = segment;
  const float width = segment.to.x - segment.from.x;
  part.from.x = segment.from.x + first * width;
  part.to.x = segment.from.x + last * width;
  return part;
}

// Opaque up to `radius` from the segment, and 0 one pixel further out. Square roots and quotients
// are the same on every processor.
ROADMARK_INLINE uint8_t AlphaAt(const Segment& segment, int64_t y, int64_t x) {
  const float length_y = segment.to.y - segment.from.y, length_x = segment.to.x - segment.from.x;
  const float squared = length_y * length_y + length_x * length_x;
  // Shorter ones are points.
  const float scale = squared > 1e-6f ? 1 / squared : 0;
  const float away_y = static_cast<float>(y) + 0.5f - segment.from.y;
  const float away_x = static_cast<float>(static_cast<int32_t>(x)) + 0.5f - segment.from.x;
  float along = (away_y * length_y + away_x * length_x) * scale;
  along = along < 0 ? 0 : along;
  along = along > 1 ? 1 : along;
  const float rest_y = away_y - along * length_y, rest_x = away_x - along * length_x;
  float coverage = segment.radius + 0.5f - sqrtf(rest_y * rest_y + rest_x * rest_x);
  coverage = coverage < 0 ? 0 : coverage;
  coverage = coverage > 1 ? 1 : coverage;
  return static_cast<uint8_t>(static_cast<int32_t>(coverage * segment.opacity + 0.5f));
}

}  // namespace roadmark

#endif  // ROADMARK_CC_ANNOTATE_SEGMENT_H_
