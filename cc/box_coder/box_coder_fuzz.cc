// Any boxes, anchors and factors: the same bits from every instruction set, nothing out of bounds.

#include <vector>

#include "cc/box_coder/box_coder.h"
#include "cc/fuzz_input.h"

namespace roadmark {
namespace {

std::vector<float> Flat(const std::vector<Box>& boxes) {
  std::vector<float> values;
  for (const Box& box : boxes)
    values.insert(values.end(), {box.ymin, box.xmin, box.ymax, box.xmax});
  return values;
}

// `decode(encodings, boxes)` after `encode(encodings)`.
template <typename Encode, typename Decode>
void CheckCoder(int64_t count, int64_t width, Encode encode, Decode decode) {
  const auto encodings = OnEveryInstructionSet(
      [&] {
        std::vector<float> out(count * width);
        encode(out.data());
        return out;
      },
      SameFloats);
  OnEveryInstructionSet(
      [&] {
        std::vector<Box> out(count);
        decode(encodings.data(), out.data());
        return Flat(out);
      },
      SameFloats);
}

void FuzzBoxCoder(FuzzInput& input) {
  const BoxScales scales = {input.Factor(), input.Factor(), input.Factor(), input.Factor()};
  const int64_t count = input.Integer(0, 40), num_keypoints = input.Integer(0, 3);
  const float stddev = input.Factor();
  const std::vector<Box> boxes = input.Boxes(count), anchors = input.Boxes(count);
  const std::vector<float> keypoints = input.Floats(count * num_keypoints * 2);
  std::vector<float> decoded_keypoints(keypoints.size());

  CheckCoder(
      count, 4,
      [&](float* out) { EncodeFasterRcnn(boxes.data(), anchors.data(), count, scales, out); },
      [&](const float* in, Box* out) { DecodeFasterRcnn(in, anchors.data(), count, scales, out); });
  CheckCoder(
      count, 4 + 2 * num_keypoints,
      [&](float* out) {
        EncodeKeypoints(boxes.data(), keypoints.data(), anchors.data(), count, num_keypoints,
                        scales, out);
      },
      [&](const float* in, Box* out) {
        DecodeKeypoints(in, anchors.data(), count, num_keypoints, scales, out,
                        decoded_keypoints.data());
      });
  CheckCoder(
      count, 3, [&](float* out) { EncodeSquare(boxes.data(), anchors.data(), count, scales, out); },
      [&](const float* in, Box* out) { DecodeSquare(in, anchors.data(), count, scales, out); });
  CheckCoder(
      count, 4,
      [&](float* out) { EncodeMeanStddev(boxes.data(), anchors.data(), count, stddev, out); },
      [&](const float* in, Box* out) { DecodeMeanStddev(in, anchors.data(), count, stddev, out); });
}

}  // namespace
}  // namespace roadmark

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  roadmark::FuzzInput input(data, size);
  roadmark::FuzzBoxCoder(input);
  return 0;
}
