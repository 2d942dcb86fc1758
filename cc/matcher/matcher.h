// Which ground-truth box each anchor is to predict, and the targets and weights that follow.
//
// The results are those of the OD API's ArgMaxMatcher over IouSimilarity, TargetAssigner and
// FasterRcnnBoxCoder (object_detection/core/target_assigner.py): matches and weights exactly, and
// so are box targets, but for the last anchors of a tensor, whose logarithms TensorFlow takes with
// libm where they do not fill a vector. The matrix of anchors by boxes is never formed: a box is
// compared with the anchors that it can overlap well enough (anchor_index.h), and all others get
// the values of an unmatched anchor in one pass over the output.
//
// Of equal IoUs the first box, and for a forced match the first anchor, counts. A box that does not
// overlap any anchor forces a match with anchor 0, as it does there. Boxes without area (padding)
// cost nothing.
#ifndef ROADMARK_CC_MATCHER_MATCHER_H_
#define ROADMARK_CC_MATCHER_MATCHER_H_

#include <cstdint>
#include <vector>

#include "cc/box.h"
#include "cc/box_coder/box_coder.h"
#include "cc/matcher/anchor_index.h"

namespace roadmark {

// What `matches` holds for an anchor that no box is matched to.
constexpr int32_t kUnmatched = -1;  // Background.
constexpr int32_t kIgnored = -2;    // Neither background nor object.

struct MatchRules {
  // An anchor is matched to the box of its largest IoU where that is matched_threshold or more.
  // Below unmatched_threshold (which is at most as large) it is unmatched and in between ignored,
  // or the other way round unless negatives_lower_than_unmatched. Both 0: always matched.
  float matched_threshold, unmatched_threshold;
  bool negatives_lower_than_unmatched;
  // Every box with a weight above 0 gets the anchor of its largest IoU. Where two claim the same,
  // the first box gets it.
  bool force_match_for_each_row;
};

struct TargetOptions {
  MatchRules rules;
  BoxScales scales;
  float negative_class_weight;
  int64_t num_classes;           // Length of a class target.
  const float* unmatched_label;  // [num_classes]: class target of unmatched and ignored anchors.
};

// Corners must be finite, at most kLargestCorner, and in the anchors' unit.
struct Groundtruth {
  const Box* boxes;      // [count]
  const float* labels;   // [count, num_classes]
  const float* weights;  // [count]; the box plays no part in forced matches unless above 0.
  int64_t count;
};

// Written for every anchor.
struct Targets {
  float* class_targets;  // [anchors, num_classes]
  float* class_weights;  // [anchors]; the weight of all classes of an anchor.
  float* box_targets;    // [anchors, 4]; 0 unless matched.
  float* box_weights;    // [anchors]
  int32_t* matches;      // [anchors]; a box's number, kUnmatched or kIgnored.
};

// Assigns targets in one image after another; keeps its working memory in between. An object serves
// one thread at a time.
class TargetAssigner {
 public:
  // Both must outlive this.
  TargetAssigner(const AnchorIndex& index, const TargetOptions& options);

  void Assign(const Groundtruth& groundtruth, const Targets& targets);

 private:
  struct Claim {
    float iou;
    int32_t anchor;
  };
  struct Assigned {
    int32_t anchor, row;
  };

  Claim Search(const Box& box, int32_t row, bool find_best);
  Claim SearchFurther(const Box& box, int32_t row, Claim best);
  void Compare(int64_t block, const Box& box, int32_t row, bool find_best, Claim* best);
  int32_t Outcome(float iou, int32_t row) const;
  void Fill(int32_t outcome, const Targets& targets) const;
  void CollectCompared(const Targets& targets);
  void WriteMatched(const Groundtruth& groundtruth, const Targets& targets);

  const AnchorIndex& index_;
  const TargetOptions& options_;
  // By block: each anchor's largest IoU so far and the box that it is with.
  std::vector<float> best_iou_;
  std::vector<int32_t> best_row_;
  std::vector<bool> is_compared_;
  std::vector<int64_t> compared_;
  std::vector<float> group_bounds_;
  std::vector<Claim> claims_;
  std::vector<Assigned> matched_;
  std::vector<Box> matched_boxes_, matched_anchors_;
  std::vector<float> encodings_;
  std::vector<float> label_pattern_;
};

// A batch of images that share anchors and options: targets of image i follow those of image i - 1.
// Images are dealt out to `threads` threads, the caller's included.
void AssignTargets(const AnchorIndex& index, const TargetOptions& options,
                   const std::vector<Groundtruth>& images, int threads, const Targets& targets);

// `targets` from image `image` of a batch on.
Targets TargetsOf(const Targets& targets, int64_t image, int64_t num_anchors, int64_t num_classes);

}  // namespace roadmark

#endif  // ROADMARK_CC_MATCHER_MATCHER_H_
