// The boxes that non-maximum suppression has kept so far, laid out for comparison with the next.
#ifndef ROADMARK_CC_NMS_KEPT_BOXES_H_
#define ROADMARK_CC_NMS_KEPT_BOXES_H_

#include <cstdint>
#include <vector>

#include "cc/box.h"

namespace roadmark {

// Intersection over union is computed in float32 as TensorFlow does it:
// intersection / (area + area - intersection). Corners may be in either order. A box without area,
// or with a corner that is not finite, overlaps nothing, not even itself.
class KeptBoxes {
 public:
  int64_t size() const { return size_; }

  void Add(const Box& box);

  // Whether some kept box has an IoU above `threshold` (0 or more) with `box`.
  bool AnyOverlaps(const Box& box, float threshold) const;

  // IoU of `box` with the kept boxes `first`, `first` + 1, ...; `ious` holds size() - `first`.
  void Ious(const Box& box, int64_t first, float* ious) const;

 private:
  int64_t size_ = 0;
  // Blocks of kLanes boxes: all ymin, then all xmin, ymax, xmax and areas. Unused lanes hold boxes
  // that overlap nothing, so that blocks are always compared whole.
  std::vector<float> blocks_;
};

}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_KEPT_BOXES_H_
