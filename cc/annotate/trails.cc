#include "cc/annotate/trails.h"

#include "cc/annotate/segment.h"
#include "cc/multiversion.h"

namespace roadmark {
namespace {

struct SegmentRow {
  ROADMARK_KERNEL void Run(Segment segment, int64_t y, int64_t begin, int64_t end,
                           uint8_t* __restrict row) {
    for (int64_t x = begin; x < end; ++x) {
      const uint8_t alpha = AlphaAt(segment, y, x);
      row[x - begin] = alpha > row[x - begin] ? alpha : row[x - begin];
    }
  }
};

void DrawSegment(const Segment& segment, AlphaTile* tile) {
  const Rect& bounds = tile->bounds();
  const Rect seen = Intersection(Around(segment), bounds);
  for (int64_t y = seen.top; y < seen.bottom; ++y) {
    const Rect columns = Intersection(Around(PartNear(segment, y)), bounds);
    if (columns.left >= columns.right) continue;
    MultiVersion<SegmentRow>::Run(segment, y, columns.left, columns.right,
                                  tile->Row(y) + columns.left - bounds.left);
  }
}

}  // namespace

void DrawTrail(const Canvas& canvas, const Point* points, int64_t count, int64_t width,
               const Ink& ink, int opacity, AlphaTile* tile) {
  if (count < 2) return;
  const auto segment = [&](int64_t i) { return SegmentOf(points, count, i, width, opacity); };
  Rect bounds = Around(segment(0));
  for (int64_t i = 1; i < count - 1; ++i) bounds = Union(bounds, Around(segment(i)));
  tile->Reset(canvas, bounds);
  for (int64_t i = 0; i < count - 1; ++i) DrawSegment(segment(i), tile);
  tile->Blend(canvas, ink);
}

}  // namespace roadmark
