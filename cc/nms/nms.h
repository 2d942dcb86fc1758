// Non-maximum suppression.
//
// Of boxes that overlap, the one with the best score stays. In all forms:
//   * Boxes are [ymin, xmin, ymax, xmax], normalised or in pixels, corners in either order. One
//     without area, or with a corner that is not finite, overlaps nothing: it is never dropped
//     because of another box and drops none.
//   * A score must be above the threshold to count; NaN is not.
//   * A box goes when its IoU with a kept one, in float32, is above the threshold.
//   * Of equal scores the lower class comes first, then the lower index; where boxes come with a
//     class each, the lower index alone decides.
//   * The arguments are read, never changed; several threads may call at once.
#ifndef ROADMARK_CC_NMS_NMS_H_
#define ROADMARK_CC_NMS_NMS_H_

#include <cstdint>
#include <vector>

#include "cc/box.h"

namespace roadmark {

struct NmsOptions {
  float score_threshold = 0;
  float iou_threshold = 0.5f;  // From 0 to 1.
  // Above 0: scores decay by exp(-iou^2 / (2 sigma)) instead. One below 0 would rise, so the score
  // threshold has to be 0 or more then.
  float soft_nms_sigma = 0;
  int64_t max_per_class = 0;  // 0 or more.
  int64_t max_total = 0;      // 0 or more.
};

struct Selection {
  int64_t index;        // Into the boxes.
  int64_t class_index;  // From 0.
  float score;          // Decayed, if soft.
};

// Boxes whose classes, if any, are known: one score each. `classes` is null, or holds values from 0
// to num_classes - 1. Returns what stays, best first. `count` is below 2^32.
std::vector<Selection> Nms(const Box* boxes, const float* scores, const int32_t* classes,
                           int64_t count, int64_t num_classes, const NmsOptions& options);

// A score per box and class, and one box for all classes or one per class.
//   boxes: [count, num_classes] or, if shared_boxes, [count].
//   scores: [count, num_classes]; count * num_classes is below 2^32.
//   max_candidates: So many of the best (box, class) pairs are looked at, as EfficientDet does
//     before it suppresses; 0 for all.
std::vector<Selection> MulticlassNms(const Box* boxes, bool shared_boxes, const float* scores,
                                     int64_t count, int64_t num_classes, int64_t max_candidates,
                                     const NmsOptions& options);

// Each box stands for its best class only, the lowest of equal ones, and suppresses boxes of every
// class. Arguments as for MulticlassNms; max_per_class plays no part.
std::vector<Selection> ClassAgnosticNms(const Box* boxes, bool shared_boxes, const float* scores,
                                        int64_t count, int64_t num_classes,
                                        const NmsOptions& options);

}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_NMS_H_
