// Any masks, boxes and picture: pixels are set in the boxes only, whatever the instructions.

#include <cmath>
#include <cstdint>
#include <vector>

#include "cc/fuzz_input.h"
#include "cc/postprocess/paste_masks.h"

namespace roadmark {
namespace {

// Whether pixel `i` of `pixels` lies in the box, rounding aside.
bool IsWithin(int64_t i, int64_t pixels, float low, float high) {
  const double slack = 1e-6 * (1 + std::abs(low) + std::abs(high));
  const double at = pixels > 1 ? static_cast<double>(i) / static_cast<double>(pixels - 1) : 0.5;
  return low - slack <= at && at <= high + slack;
}

void FuzzPasteMasks(FuzzInput& input) {
  const int64_t count = input.Integer(0, 6);
  const int64_t height = input.Integer(1, 9), width = input.Integer(1, 20);
  const int64_t rows = input.Integer(0, 40), columns = input.Integer(0, 40);
  const int64_t threads = input.Integer(1, 2);
  const float threshold = input.Float();
  const std::vector<Box> boxes = input.Boxes(count);
  const std::vector<float> probabilities = input.Floats(count * height * width);
  const auto masks = OnEveryInstructionSet(
      [&] {
        std::vector<uint8_t> pasted(count * rows * columns);
        PasteMasks({probabilities.data(), boxes.data(), count, height, width}, threshold, rows,
                   columns, threads, pasted.data());
        return pasted;
      },
      [](const auto& a, const auto& b) { return a == b; });
  for (int64_t i = 0; i < static_cast<int64_t>(masks.size()); ++i) {
    if (!masks[i]) continue;
    const Box& box = boxes[i / (rows * columns)];
    FUZZ_CHECK(masks[i] == 1);
    FUZZ_CHECK(IsWithin(i / columns % rows, rows, box.ymin, box.ymax));
    FUZZ_CHECK(IsWithin(i % columns, columns, box.xmin, box.xmax));
  }
}

}  // namespace
}  // namespace roadmark

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  roadmark::FuzzInput input(data, size);
  roadmark::FuzzPasteMasks(input);
  return 0;
}
