// The kernels of cc/box_coder/box_coder.cu on the host: the bits of cc/box_coder/box_coder.cc.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cc/box_coder/box_coder.h"
#include "cc/box_coder/box_coder_cuda.h"

namespace roadmark {
namespace {

constexpr BoxScales kScales = {10, 10, 5, 5};
constexpr int64_t kKeypoints = 3;
constexpr float kStddev = 0.1f;
constexpr float kPoison = -7;

using Values = std::vector<float>;

// Some inverted, without area, huge or not finite.
std::vector<Box> RandomBoxes(int64_t count, std::mt19937* random) {
  std::uniform_real_distribution<float> uniform(0, 1);
  const auto one_in = [&](unsigned n) { return (*random)() % n == 0; };
  std::vector<Box> boxes;
  for (int64_t i = 0; i < count; ++i) {
    const float y = uniform(*random), x = uniform(*random);
    Box box = {y, x, y + uniform(*random), x + uniform(*random)};
    if (one_in(20)) std::swap(box.xmin, box.xmax);
    if (one_in(20)) box.ymax = box.ymin;
    if (one_in(20)) box.ymax *= 1e30f;
    if (one_in(20)) box.xmin = std::numeric_limits<float>::infinity();
    if (one_in(20)) box.ymin = std::nanf("");
    boxes.push_back(box);
  }
  return boxes;
}

Values RandomValues(int64_t count, std::mt19937* random) {
  std::normal_distribution<float> normal(0, 20);
  Values values(count);
  for (float& value : values) value = (*random)() % 50 ? normal(*random) : std::nanf("");
  return values;
}

// NaN has many bit patterns, of which operations may choose.
void ExpectSame(const Values& found, const Values& expected, const char* what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (size_t i = 0; i < found.size(); ++i) {
    if (std::isnan(found[i]) && std::isnan(expected[i])) continue;
    EXPECT_EQ(std::memcmp(&found[i], &expected[i], sizeof(float)), 0)
        << what << ", value " << i << ": " << found[i] << ", not " << expected[i];
  }
}

Box* AsBoxes(float* values) { return reinterpret_cast<Box*>(values); }

// `code(out)` on either side, which writes `size` values; the last one is beyond them.
template <typename OnDevice, typename OnHost>
void ExpectSameFrom(int64_t size, const OnDevice& on_device, const OnHost& on_host,
                    const char* what) {
  Values found(size + 1, kPoison), expected(size + 1, kPoison);
  ASSERT_EQ(on_device(found.data()), cudaSuccess) << what;
  on_host(expected.data());
  ExpectSame(found, expected, what);
}

// Counts around the number of threads in a block.
class BoxCoderEmulationTest : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "ThreadSanitizer loses count of stacks that take turns";
#endif
  }

  const int64_t count_ = GetParam();
  std::mt19937 random_{static_cast<uint32_t>(count_)};
  const std::vector<Box> boxes_ = RandomBoxes(count_, &random_);
  const std::vector<Box> anchors_ = RandomBoxes(count_, &random_);
};

TEST_P(BoxCoderEmulationTest, FasterRcnn) {
  const Values encodings = RandomValues(4 * count_, &random_);
  const Box *boxes = boxes_.data(), *anchors = anchors_.data();
  ExpectSameFrom(
      4 * count_,
      [&](float* out) {
        return cuda::EncodeFasterRcnn(boxes, anchors, count_, kScales, out, nullptr);
      },
      [&](float* out) { EncodeFasterRcnn(boxes, anchors, count_, kScales, out); }, "encode");
  ExpectSameFrom(
      4 * count_,
      [&](float* out) {
        return cuda::DecodeFasterRcnn(encodings.data(), anchors, count_, kScales, AsBoxes(out),
                                      nullptr);
      },
      [&](float* out) {
        DecodeFasterRcnn(encodings.data(), anchors, count_, kScales, AsBoxes(out));
      },
      "decode");
}

TEST_P(BoxCoderEmulationTest, Keypoints) {
  const int64_t width = 4 + 2 * kKeypoints;
  const Values keypoints = RandomValues(2 * kKeypoints * count_, &random_);
  const Values encodings = RandomValues(width * count_, &random_);
  const Box *boxes = boxes_.data(), *anchors = anchors_.data();
  ExpectSameFrom(
      width * count_,
      [&](float* out) {
        return cuda::EncodeKeypoints(boxes, keypoints.data(), anchors, count_, kKeypoints, kScales,
                                     out, nullptr);
      },
      [&](float* out) {
        EncodeKeypoints(boxes, keypoints.data(), anchors, count_, kKeypoints, kScales, out);
      },
      "encode");
  // Boxes, and keypoints behind them.
  ExpectSameFrom(
      width * count_,
      [&](float* out) {
        return cuda::DecodeKeypoints(encodings.data(), anchors, count_, kKeypoints, kScales,
                                     AsBoxes(out), out + 4 * count_, nullptr);
      },
      [&](float* out) {
        DecodeKeypoints(encodings.data(), anchors, count_, kKeypoints, kScales, AsBoxes(out),
                        out + 4 * count_);
      },
      "decode");
}

TEST_P(BoxCoderEmulationTest, Square) {
  const Values encodings = RandomValues(3 * count_, &random_);
  const Box *boxes = boxes_.data(), *anchors = anchors_.data();
  ExpectSameFrom(
      3 * count_,
      [&](float* out) { return cuda::EncodeSquare(boxes, anchors, count_, kScales, out, nullptr); },
      [&](float* out) { EncodeSquare(boxes, anchors, count_, kScales, out); }, "encode");
  ExpectSameFrom(
      4 * count_,
      [&](float* out) {
        return cuda::DecodeSquare(encodings.data(), anchors, count_, kScales, AsBoxes(out),
                                  nullptr);
      },
      [&](float* out) { DecodeSquare(encodings.data(), anchors, count_, kScales, AsBoxes(out)); },
      "decode");
}

TEST_P(BoxCoderEmulationTest, MeanStddev) {
  const Values encodings = RandomValues(4 * count_, &random_);
  const Box *boxes = boxes_.data(), *anchors = anchors_.data();
  ExpectSameFrom(
      4 * count_,
      [&](float* out) {
        return cuda::EncodeMeanStddev(boxes, anchors, count_, kStddev, out, nullptr);
      },
      [&](float* out) { EncodeMeanStddev(boxes, anchors, count_, kStddev, out); }, "encode");
  ExpectSameFrom(
      4 * count_,
      [&](float* out) {
        return cuda::DecodeMeanStddev(encodings.data(), anchors, count_, kStddev, AsBoxes(out),
                                      nullptr);
      },
      [&](float* out) {
        DecodeMeanStddev(encodings.data(), anchors, count_, kStddev, AsBoxes(out));
      },
      "decode");
}

INSTANTIATE_TEST_SUITE_P(Counts, BoxCoderEmulationTest, testing::Values(0, 1, 64, 256, 257, 700));

}  // namespace
}  // namespace roadmark
