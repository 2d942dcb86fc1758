// The way that a tracked object has come.
#ifndef ROADMARK_CC_ANNOTATE_TRAILS_H_
#define ROADMARK_CC_ANNOTATE_TRAILS_H_

#include <cstdint>

#include "cc/annotate/annotate.h"
#include "cc/annotate/canvas.h"

namespace roadmark {

// Draws an anti-aliased line `width` pixels wide through `points`, which fades towards the first
// of them from `opacity`. Where the line crosses itself the more opaque part counts.
void DrawTrail(const Canvas& canvas, const Point* points, int64_t count, int64_t width,
               const Ink& ink, int opacity, AlphaTile* tile);

}  // namespace roadmark

#endif  // ROADMARK_CC_ANNOTATE_TRAILS_H_
