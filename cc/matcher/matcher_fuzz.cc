// Any anchors, boxes and rules: every target is written, and each match has its box's values.

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cc/fuzz_input.h"
#include "cc/matcher/matcher.h"

namespace roadmark {
namespace {

struct Assigned {
  std::vector<float> class_targets, class_weights, box_targets, box_weights;
  std::vector<int32_t> matches;
};

bool Same(const Assigned& a, const Assigned& b) {
  return SameFloats(a.class_targets, b.class_targets) &&
         SameFloats(a.class_weights, b.class_weights) && SameFloats(a.box_targets, b.box_targets) &&
         SameFloats(a.box_weights, b.box_weights) && a.matches == b.matches;
}

// Within what the matcher takes.
std::vector<Box> FiniteBoxes(FuzzInput& input, int64_t count) {
  std::vector<Box> boxes = input.Boxes(count);
  for (Box& box : boxes) {
    for (float* corner : {&box.ymin, &box.xmin, &box.ymax, &box.xmax}) {
      if (!(std::fabs(*corner) <= kLargestCorner)) *corner = 0;
    }
  }
  return boxes;
}

void FuzzMatcher(FuzzInput& input) {
  TargetOptions options;
  options.rules.matched_threshold = input.Fraction();
  options.rules.unmatched_threshold = std::min(input.Fraction(), options.rules.matched_threshold);
  options.rules.negatives_lower_than_unmatched = input.Flag();
  options.rules.force_match_for_each_row = input.Flag();
  options.scales = {input.Factor(), input.Factor(), input.Factor(), input.Factor()};
  options.negative_class_weight = input.Fraction();
  options.num_classes = input.Integer(1, 4);
  const int64_t num_anchors = input.Integer(0, 100), count = input.Integer(0, 20);
  const std::vector<Box> anchors = FiniteBoxes(input, num_anchors);
  const std::vector<Box> boxes = FiniteBoxes(input, count);
  std::vector<float> weights(count), labels(count * options.num_classes);
  for (float& weight : weights) weight = input.Flag() ? 1 : input.Fraction();
  for (float& label : labels) label = input.Fraction();
  std::vector<float> unmatched_label(options.num_classes);
  for (float& label : unmatched_label) label = input.Fraction();
  options.unmatched_label = unmatched_label.data();

  const Assigned found = OnEveryInstructionSet(
      [&] {
        const AnchorIndex index(anchors.data(), num_anchors);
        TargetAssigner assigner(index, options);
        const float nan = std::numeric_limits<float>::quiet_NaN();
        Assigned out = {
            std::vector<float>(num_anchors * options.num_classes, nan),
            std::vector<float>(num_anchors, nan), std::vector<float>(num_anchors * 4, nan),
            std::vector<float>(num_anchors, nan), std::vector<int32_t>(num_anchors, -7)};
        assigner.Assign({boxes.data(), labels.data(), weights.data(), count},
                        {out.class_targets.data(), out.class_weights.data(), out.box_targets.data(),
                         out.box_weights.data(), out.matches.data()});
        return out;
      },
      Same);
  for (int64_t i = 0; i < num_anchors; ++i) {
    const int32_t match = found.matches[i];
    FUZZ_CHECK(kIgnored <= match && match < count);
    const float* label = match < 0 ? unmatched_label.data() : &labels[match * options.num_classes];
    for (int64_t c = 0; c < options.num_classes; ++c) {
      FUZZ_CHECK(found.class_targets[i * options.num_classes + c] == label[c]);
    }
    const float unmatched = match == kUnmatched ? options.negative_class_weight : 0;
    FUZZ_CHECK(found.class_weights[i] == (match < 0 ? unmatched : weights[match]));
    FUZZ_CHECK(found.box_weights[i] == (match < 0 ? 0 : weights[match]));
    for (int k = 0; k < 4 && match < 0; ++k) FUZZ_CHECK(found.box_targets[4 * i + k] == 0);
  }
}

}  // namespace
}  // namespace roadmark

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  roadmark::FuzzInput input(data, size);
  roadmark::FuzzMatcher(input);
  return 0;
}
