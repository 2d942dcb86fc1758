#include "cc/box_coder/box_coder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

constexpr BoxScales kScales = {10, 10, 5, 5};
constexpr BoxScales kNoScales = {1, 1, 1, 1};

std::vector<Box> RandomBoxes(int seed, int64_t count) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<Box> boxes;
  for (int64_t i = 0; i < count; ++i) {
    const float y = uniform(random), x = uniform(random);
    boxes.push_back({y, x, y + 0.01f + 0.4f * uniform(random), x + 0.01f + 0.4f * uniform(random)});
  }
  return boxes;
}

void ExpectNear(const std::vector<Box>& found, const std::vector<Box>& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i].ymin, expected[i].ymin, tolerance) << i;
    EXPECT_NEAR(found[i].xmin, expected[i].xmin, tolerance) << i;
    EXPECT_NEAR(found[i].ymax, expected[i].ymax, tolerance) << i;
    EXPECT_NEAR(found[i].xmax, expected[i].xmax, tolerance) << i;
  }
}

// In double precision, from the paper's definition.
void ReferenceEncode(const Box& box, const Box& anchor, const BoxScales& scales, double* encoding) {
  const double height_a = double{anchor.ymax} - anchor.ymin;
  const double width_a = double{anchor.xmax} - anchor.xmin;
  encoding[0] = ((box.ymin + box.ymax) / 2.0 - (anchor.ymin + anchor.ymax) / 2.0) / height_a;
  encoding[1] = ((box.xmin + box.xmax) / 2.0 - (anchor.xmin + anchor.xmax) / 2.0) / width_a;
  encoding[2] = std::log((double{box.ymax} - box.ymin) / height_a);
  encoding[3] = std::log((double{box.xmax} - box.xmin) / width_a);
  const float factors[4] = {scales.y, scales.x, scales.height, scales.width};
  for (int k = 0; k < 4; ++k) encoding[k] *= factors[k];
}

TEST(FasterRcnnTest, EncodesAsTheReferenceAndDecodesBack) {
  for (int64_t count : {0, 1, 7, 1000}) {
    for (const BoxScales& scales : {kScales, kNoScales}) {
      const std::vector<Box> boxes = RandomBoxes(1, count), anchors = RandomBoxes(2, count);
      std::vector<float> encodings(4 * count);
      EncodeFasterRcnn(boxes.data(), anchors.data(), count, scales, encodings.data());
      for (int64_t i = 0; i < count; ++i) {
        double expected[4];
        ReferenceEncode(boxes[i], anchors[i], scales, expected);
        for (int k = 0; k < 4; ++k) {
          EXPECT_NEAR(encodings[4 * i + k], expected[k], 1e-4 * (1 + std::fabs(expected[k])));
        }
      }
      std::vector<Box> decoded(count);
      DecodeFasterRcnn(encodings.data(), anchors.data(), count, scales, decoded.data());
      ExpectNear(decoded, boxes, 5e-6);
    }
  }
}

TEST(FasterRcnnTest, AKnownBox) {
  const Box box = {0, 0, 20, 40}, anchor = {0, 0, 10, 10};
  float encoding[4];
  EncodeFasterRcnn(&box, &anchor, 1, kScales, encoding);
  EXPECT_NEAR(encoding[0], 5, 1e-5);
  EXPECT_NEAR(encoding[1], 15, 1e-5);
  EXPECT_NEAR(encoding[2], 5 * std::log(2), 1e-5);
  EXPECT_NEAR(encoding[3], 5 * std::log(4), 1e-5);
}

TEST(FasterRcnnTest, BoxesWithoutAreaStayFinite) {
  const Box box = {0.5f, 0.5f, 0.5f, 0.5f}, anchor = {0.2f, 0.2f, 0.2f, 0.2f};
  float encoding[4];
  EncodeFasterRcnn(&box, &anchor, 1, kScales, encoding);
  for (float value : encoding) EXPECT_TRUE(std::isfinite(value));
}

TEST(FasterRcnnTest, OverflowAndNanStayInTheirBox) {
  const float encodings[] = {0, 0, 1e9f, 0, 0, 0, -1e9f, 0, std::nanf(""), 0, 0, 0, 0, 0, 0, 0};
  const std::vector<Box> anchors(4, {0, 0, 1, 1});
  std::vector<Box> boxes(4);
  DecodeFasterRcnn(encodings, anchors.data(), 4, kScales, boxes.data());
  EXPECT_TRUE(std::isinf(boxes[0].ymax));
  EXPECT_EQ(boxes[1].ymin, boxes[1].ymax);
  EXPECT_TRUE(std::isnan(boxes[2].ymin));
  ExpectNear({boxes[3]}, {{0, 0, 1, 1}}, 0);
}

TEST(KeypointTest, DecodesBackAndAgreesWithTheBoxCoder) {
  const int64_t count = 50, num_keypoints = 5;
  const std::vector<Box> boxes = RandomBoxes(1, count), anchors = RandomBoxes(2, count);
  std::vector<float> keypoints(count * num_keypoints * 2);
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(0, 1);
  for (float& coordinate : keypoints) coordinate = uniform(random);
  std::vector<float> encodings(count * 14), of_boxes(count * 4);
  EncodeKeypoints(boxes.data(), keypoints.data(), anchors.data(), count, num_keypoints, kScales,
                  encodings.data());
  EncodeFasterRcnn(boxes.data(), anchors.data(), count, kScales, of_boxes.data());
  for (int64_t i = 0; i < count; ++i) {
    EXPECT_EQ(std::memcmp(&encodings[14 * i], &of_boxes[4 * i], 4 * sizeof(float)), 0);
    const float ycenter = (anchors[i].ymin + anchors[i].ymax) / 2;
    const float expected =
        (keypoints[i * 10] - ycenter) / (anchors[i].ymax - anchors[i].ymin) * kScales.y;
    EXPECT_NEAR(encodings[14 * i + 4], expected, 1e-4 * (1 + std::fabs(expected)));
  }
  std::vector<Box> decoded(count);
  std::vector<float> decoded_keypoints(keypoints.size());
  DecodeKeypoints(encodings.data(), anchors.data(), count, num_keypoints, kScales, decoded.data(),
                  decoded_keypoints.data());
  ExpectNear(decoded, boxes, 5e-6);
  for (size_t i = 0; i < keypoints.size(); ++i) {
    EXPECT_NEAR(decoded_keypoints[i], keypoints[i], 1e-5);
  }
}

TEST(SquareTest, AKnownBoxAndBack) {
  // Areas 400 and 100: sides 20 and 10, centres (15, 20) and (5, 5).
  const Box box = {10, 0, 20, 40}, anchor = {0, 0, 10, 10};
  float encoding[3];
  EncodeSquare(&box, &anchor, 1, kScales, encoding);
  EXPECT_NEAR(encoding[0], 10, 1e-5);
  EXPECT_NEAR(encoding[1], 15, 1e-5);
  EXPECT_NEAR(encoding[2], 5 * std::log(2), 1e-5);
  std::vector<Box> decoded(1);
  DecodeSquare(encoding, &anchor, 1, kScales, decoded.data());
  ExpectNear(decoded, {{5, 10, 25, 30}}, 1e-4);  // The square of the same centre and area.
}

TEST(MeanStddevTest, AKnownBoxAndBack) {
  const Box box = {0.1f, 0.2f, 0.5f, 0.6f}, anchor = {0.0f, 0.3f, 0.5f, 0.5f};
  float encoding[4];
  EncodeMeanStddev(&box, &anchor, 1, 0.1f, encoding);
  const float expected[] = {1, -1, 0, 1};
  for (int k = 0; k < 4; ++k) EXPECT_NEAR(encoding[k], expected[k], 1e-5);
  std::vector<Box> decoded(1);
  DecodeMeanStddev(encoding, &anchor, 1, 0.1f, decoded.data());
  ExpectNear(decoded, {box}, 1e-6);
}

// Without a box there need not be an array either.
TEST(BoxCoderTest, NothingIsRead) {
  EncodeFasterRcnn(nullptr, nullptr, 0, kScales, nullptr);
  DecodeFasterRcnn(nullptr, nullptr, 0, kScales, nullptr);
  EncodeSquare(nullptr, nullptr, 0, kScales, nullptr);
  DecodeSquare(nullptr, nullptr, 0, kScales, nullptr);
  EncodeMeanStddev(nullptr, nullptr, 0, 0.1f, nullptr);
  DecodeMeanStddev(nullptr, nullptr, 0, 0.1f, nullptr);
}

TEST(BoxCoderTest, SameBitsWithEveryInstructionSet) {
  const int64_t count = 1003;
  const std::vector<Box> boxes = RandomBoxes(1, count), anchors = RandomBoxes(2, count);
  const auto run = [&](InstructionSet set) {
    ScopedInstructionSet scoped(set);
    std::vector<float> out(count * 22);
    float* next = out.data();
    EncodeFasterRcnn(boxes.data(), anchors.data(), count, kScales, next);
    DecodeFasterRcnn(next, anchors.data(), count, kScales,
                     reinterpret_cast<Box*>(next + 4 * count));
    EncodeSquare(boxes.data(), anchors.data(), count, kScales, next + 8 * count);
    DecodeSquare(next + 8 * count, anchors.data(), count, kScales,
                 reinterpret_cast<Box*>(next + 11 * count));
    EncodeMeanStddev(boxes.data(), anchors.data(), count, 0.1f, next + 15 * count);
    return out;
  };
  const std::vector<float> expected = run(InstructionSet::kBaseline);
  for (InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (!IsSupported(set)) continue;
    const std::vector<float> found = run(set);
    EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0);
  }
}

}  // namespace
}  // namespace roadmark
