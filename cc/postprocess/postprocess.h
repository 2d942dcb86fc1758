// From a detector's raw outputs to its final boxes, in one pass over the logits.
//
// Does what SSDMetaArch.postprocess and the second stage of FasterRCNNMetaArch.postprocess of the
// OD API do: scores, decoding, non-maximum suppression (cc/nms/nms.h has the rules), clipping.
// Scores are only computed of logits that may pass the threshold, and boxes only decoded for
// candidates that suppression gets to.
#ifndef ROADMARK_CC_POSTPROCESS_POSTPROCESS_H_
#define ROADMARK_CC_POSTPROCESS_POSTPROCESS_H_

#include <cstdint>
#include <vector>

#include "cc/box.h"
#include "cc/box_coder/box_coder.h"
#include "cc/nms/nms.h"
#include "cc/postprocess/window.h"

namespace roadmark {

enum class ScoreFunction { kIdentity, kSigmoid, kSoftmax };

struct PostprocessOptions {
  BoxScales box_scales;
  ScoreFunction score_function;
  float logit_scale;       // Logits are divided by it first; above 0.
  bool background_column;  // Column 0 of the logits is no class.
  bool class_agnostic;     // Each box has its best class only; max_per_class plays no part.
  NmsOptions nms;
};

// The outputs for one picture.
struct RawOutputs {
  const float* class_logits;   // [count, num_classes, plus 1 with a background column]
  const float* box_encodings;  // [count, boxes_per_row, 4]
  const Box* anchors;          // [count], normalised to the network's input: anchors or proposals.
  int64_t count;               // count * num_classes is below 2^32.
  int64_t num_classes;         // 1 or more.
  int64_t boxes_per_row;       // 1, or num_classes.
};

struct Detection {
  Box box;  // Normalised to the picture, clipped to it.
  float score;
  int64_t class_index;  // From 0, without the background.
  int64_t row;          // Of the raw outputs.
};

// Best first; of equal scores the lower class, then the lower row. Boxes are clipped after
// suppression; those that then have no area are dropped, and at most nms.max_total are left.
//
// `window` is the part of the network's input that the picture fills.
std::vector<Detection> Postprocess(const RawOutputs& raw, const Window& window,
                                   const PostprocessOptions& options);

// The mask of each detection as probabilities [detections, mask_size]: the sigmoid of the logits of
// its row, and of its class where every class has a mask.
//   mask_logits: [count, masks_per_row, mask_size]; masks_per_row is 1 or num_classes.
void SelectMasks(const float* mask_logits, int64_t masks_per_row, int64_t mask_size,
                 const std::vector<Detection>& detections, float* probabilities);

}  // namespace roadmark

#endif  // ROADMARK_CC_POSTPROCESS_POSTPROCESS_H_
