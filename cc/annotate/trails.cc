#include "cc/annotate/trails.h"

#include <algorithm>
#include <cmath>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

// Far outside of any picture, and small enough for float32 to tell pixels apart.
constexpr float kFar = 1 << 20;

Point Clamped(const Point& point) {
  return {std::min(std::max(point.y, -kFar), kFar), std::min(std::max(point.x, -kFar), kFar)};
}

struct Segment {
  Point from, to;
  float radius;   // Pixels.
  float opacity;  // 0 to 255.
};

// One row of a segment: opaque up to `radius` from it, and 0 one pixel further out. Square roots
// and quotients are the same on every CPU.
struct SegmentRow {
  ROADMARK_KERNEL void Run(Segment segment, int64_t y, int64_t begin, int64_t end,
                           uint8_t* __restrict row) {
    const float length_y = segment.to.y - segment.from.y, length_x = segment.to.x - segment.from.x;
    const float squared = length_y * length_y + length_x * length_x;
    // Shorter ones are points.
    const float scale = squared > 1e-6f ? 1 / squared : 0;
    const float away_y = static_cast<float>(y) + 0.5f - segment.from.y;
    for (int64_t x = begin; x < end; ++x) {
      const float away_x = static_cast<float>(static_cast<int32_t>(x)) + 0.5f - segment.from.x;
      float along = (away_y * length_y + away_x * length_x) * scale;
      along = along < 0 ? 0 : along;
      along = along > 1 ? 1 : along;
      const float rest_y = away_y - along * length_y, rest_x = away_x - along * length_x;
      float coverage = segment.radius + 0.5f - std::sqrt(rest_y * rest_y + rest_x * rest_x);
      coverage = coverage < 0 ? 0 : coverage;
      coverage = coverage > 1 ? 1 : coverage;
      const auto alpha =
          static_cast<uint8_t>(static_cast<int32_t>(coverage * segment.opacity + 0.5f));
      row[x - begin] = alpha > row[x - begin] ? alpha : row[x - begin];
    }
  }
};

Rect Around(const Point& a, const Point& b, float reach) {
  return {static_cast<int64_t>(std::floor(std::min(a.y, b.y) - reach)),
          static_cast<int64_t>(std::floor(std::min(a.x, b.x) - reach)),
          static_cast<int64_t>(std::ceil(std::max(a.y, b.y) + reach)),
          static_cast<int64_t>(std::ceil(std::max(a.x, b.x) + reach))};
}

// The part of a segment that can colour row `y`, so that long ones cost no more than their pixels.
Segment PartNear(const Segment& segment, int64_t y, float reach) {
  const float length = segment.to.y - segment.from.y;
  if (std::fabs(length) < 1) return segment;
  const float row = static_cast<float>(y) + 0.5f;
  const float a = (row - reach - segment.from.y) / length;
  const float b = (row + reach - segment.from.y) / length;
  const float first = std::min(std::max(std::min(a, b), 0.0f), 1.0f);
  const float last = std::min(std::max(std::max(a, b), 0.0f), 1.0f);
  Segment part = segment;
  const float width = segment.to.x - segment.from.x;
  part.from.x = segment.from.x + first * width;
  part.to.x = segment.from.x + last * width;
  return part;
}

void DrawSegment(const Segment& segment, AlphaTile* tile) {
  const float reach = segment.radius + 1;
  const Rect& bounds = tile->bounds();
  const Rect seen = Intersection(Around(segment.from, segment.to, reach), bounds);
  for (int64_t y = seen.top; y < seen.bottom; ++y) {
    const Segment part = PartNear(segment, y, reach);
    const Rect columns = Intersection(Around(part.from, part.to, reach), bounds);
    if (columns.left >= columns.right) continue;
    MultiVersion<SegmentRow>::Run(segment, y, columns.left, columns.right,
                                  tile->Row(y) + columns.left - bounds.left);
  }
}

}  // namespace

void DrawTrail(const Canvas& canvas, const Point* points, int64_t count, int64_t width,
               const Ink& ink, int opacity, AlphaTile* tile) {
  if (count < 2) return;
  const float radius = static_cast<float>(width) / 2;
  Rect bounds = Around(Clamped(points[0]), Clamped(points[0]), radius + 1);
  for (int64_t i = 1; i < count; ++i) {
    const Rect more = Around(Clamped(points[i]), Clamped(points[i]), radius + 1);
    bounds = {std::min(bounds.top, more.top), std::min(bounds.left, more.left),
              std::max(bounds.bottom, more.bottom), std::max(bounds.right, more.right)};
  }
  tile->Reset(canvas, bounds);
  for (int64_t i = 1; i < count; ++i) {
    const float faded =
        static_cast<float>(opacity) * static_cast<float>(i) / static_cast<float>(count - 1);
    DrawSegment({Clamped(points[i - 1]), Clamped(points[i]), radius, faded}, tile);
  }
  tile->Blend(canvas, ink);
}

}  // namespace roadmark
