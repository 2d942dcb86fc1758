// Any boxes, scores and options: what is kept obeys the limits and the order of cc/nms/nms.h.

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "cc/fuzz_input.h"
#include "cc/nms/nms.h"

namespace roadmark {
namespace {

bool Same(const std::vector<Selection>& a, const std::vector<Selection>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const Selection& p, const Selection& q) {
        return p.index == q.index && p.class_index == q.class_index && SameFloat(p.score, q.score);
      });
}

void CheckSelection(const std::vector<Selection>& selected, int64_t count, int64_t num_classes,
                    bool limit_classes, const NmsOptions& options) {
  FUZZ_CHECK(static_cast<int64_t>(selected.size()) <= options.max_total);
  std::vector<int64_t> of_class(num_classes);
  std::set<std::pair<int64_t, int64_t>> seen;
  for (size_t i = 0; i < selected.size(); ++i) {
    const Selection& one = selected[i];
    FUZZ_CHECK(0 <= one.index && one.index < count);
    FUZZ_CHECK(0 <= one.class_index && one.class_index < num_classes);
    FUZZ_CHECK(one.score > options.score_threshold);
    FUZZ_CHECK(i == 0 || selected[i - 1].score >= one.score);
    FUZZ_CHECK(seen.emplace(one.index, one.class_index).second);
    if (limit_classes) FUZZ_CHECK(++of_class[one.class_index] <= options.max_per_class);
  }
}

void FuzzNms(FuzzInput& input) {
  NmsOptions options;
  options.soft_nms_sigma = input.Flag() ? input.Factor() : 0;
  options.score_threshold = input.Fraction() - (options.soft_nms_sigma > 0 ? 0.0f : 0.5f);
  options.iou_threshold = input.Fraction();
  options.max_per_class = input.Integer(0, 40);
  options.max_total = input.Integer(0, 60);
  const int64_t count = input.Integer(0, 70), num_classes = input.Integer(1, 5);
  const int64_t max_candidates = input.Integer(0, 50);
  const bool shared = input.Flag();
  const std::vector<Box> boxes = input.Boxes(shared ? count : count * num_classes);
  const std::vector<float> scores = input.Floats(count * num_classes);

  const auto per_class = OnEveryInstructionSet(
      [&] {
        return MulticlassNms(boxes.data(), shared, scores.data(), count, num_classes,
                             max_candidates, options);
      },
      Same);
  CheckSelection(per_class, count, num_classes, true, options);
  if (max_candidates > 0) FUZZ_CHECK(static_cast<int64_t>(per_class.size()) <= max_candidates);

  const auto agnostic = OnEveryInstructionSet(
      [&] {
        return ClassAgnosticNms(boxes.data(), shared, scores.data(), count, num_classes, options);
      },
      Same);
  CheckSelection(agnostic, count, num_classes, false, options);

  std::vector<int32_t> classes(count);
  for (int32_t& one : classes) one = static_cast<int32_t>(input.Integer(0, num_classes - 1));
  const auto flat = OnEveryInstructionSet(
      [&] { return Nms(boxes.data(), scores.data(), classes.data(), count, num_classes, options); },
      Same);
  CheckSelection(flat, count, num_classes, true, options);
  for (const Selection& one : flat) FUZZ_CHECK(one.class_index == classes[one.index]);
  const auto without_classes = Nms(boxes.data(), scores.data(), nullptr, count, 1, options);
  CheckSelection(without_classes, count, 1, true, options);
}

}  // namespace
}  // namespace roadmark

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  roadmark::FuzzInput input(data, size);
  roadmark::FuzzNms(input);
  return 0;
}
