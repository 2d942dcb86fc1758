// Any logits, encodings and anchors: detections lie in the picture, in order and within the limits.

#include <algorithm>
#include <vector>

#include "cc/fuzz_input.h"
#include "cc/postprocess/postprocess.h"

namespace roadmark {
namespace {

bool Same(const std::vector<Detection>& a, const std::vector<Detection>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const Detection& p, const Detection& q) {
        return p.row == q.row && p.class_index == q.class_index && SameFloat(p.score, q.score) &&
               SameFloat(p.box.ymin, q.box.ymin) && SameFloat(p.box.xmin, q.box.xmin) &&
               SameFloat(p.box.ymax, q.box.ymax) && SameFloat(p.box.xmax, q.box.xmax);
      });
}

void CheckDetections(const std::vector<Detection>& found, const RawOutputs& raw,
                     const PostprocessOptions& options) {
  FUZZ_CHECK(static_cast<int64_t>(found.size()) <= options.nms.max_total);
  std::vector<int64_t> of_class(raw.num_classes);
  for (size_t i = 0; i < found.size(); ++i) {
    const Detection& one = found[i];
    FUZZ_CHECK(0 <= one.row && one.row < raw.count);
    FUZZ_CHECK(0 <= one.class_index && one.class_index < raw.num_classes);
    FUZZ_CHECK(one.score > options.nms.score_threshold);
    FUZZ_CHECK(i == 0 || found[i - 1].score >= one.score);
    FUZZ_CHECK(0 <= one.box.ymin && one.box.ymin < one.box.ymax && one.box.ymax <= 1);
    FUZZ_CHECK(0 <= one.box.xmin && one.box.xmin < one.box.xmax && one.box.xmax <= 1);
    if (!options.class_agnostic) {
      FUZZ_CHECK(++of_class[one.class_index] <= options.nms.max_per_class);
    }
  }
}

void FuzzPostprocess(FuzzInput& input) {
  PostprocessOptions options;
  options.box_scales = {input.Factor(), input.Factor(), input.Factor(), input.Factor()};
  options.score_function = static_cast<ScoreFunction>(input.Integer(0, 2));
  options.logit_scale = input.Factor();
  options.background_column = input.Flag();
  options.class_agnostic = input.Flag();
  options.nms.score_threshold = input.Flag() ? 1e-8f : input.Fraction();
  options.nms.iou_threshold = input.Fraction();
  options.nms.soft_nms_sigma = input.Flag() ? input.Factor() : 0;
  options.nms.max_per_class = input.Integer(0, 40);
  options.nms.max_total = input.Integer(0, 60);
  const Window window = {std::max(input.Fraction(), 0.01f), std::max(input.Fraction(), 0.01f)};

  const int64_t count = input.Integer(0, 70), num_classes = input.Integer(1, 5);
  const int64_t boxes_per_row = input.Flag() ? num_classes : 1;
  const std::vector<float> logits = input.Floats(count * (num_classes + options.background_column));
  const std::vector<float> encodings = input.Floats(count * boxes_per_row * 4);
  const std::vector<Box> anchors = input.Boxes(count);
  const RawOutputs raw = {logits.data(), encodings.data(), anchors.data(),
                          count,         num_classes,      boxes_per_row};
  CheckDetections(OnEveryInstructionSet([&] { return Postprocess(raw, window, options); }, Same),
                  raw, options);
}

}  // namespace
}  // namespace roadmark

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  roadmark::FuzzInput input(data, size);
  roadmark::FuzzPostprocess(input);
  return 0;
}
