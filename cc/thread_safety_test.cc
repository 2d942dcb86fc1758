// Every operation on two threads at once, reading the same inputs: `bazel test --config=tsan
// //cc/...` shows that nothing is shared that one of them writes.

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cc/annotate/annotate.h"
#include "cc/box_coder/box_coder.h"
#include "cc/matcher/matcher.h"
#include "cc/nms/nms.h"
#include "cc/postprocess/paste_masks.h"
#include "cc/postprocess/postprocess.h"
#include "cc/preprocess/preprocess.h"

namespace roadmark {
namespace {

constexpr int64_t kCount = 2000, kClasses = 3;

std::vector<Box> RandomBoxes(int seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<Box> boxes(kCount);
  for (Box& box : boxes) {
    const float y = uniform(random), x = uniform(random);
    box = {y, x, y + 0.2f * uniform(random), x + 0.2f * uniform(random)};
  }
  return boxes;
}

std::vector<float> RandomFloats(int seed, int64_t count) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(random);
  return values;
}

// Computes on this thread, then on two at once, and expects the same bytes of all three.
void ExpectSameOnTwoThreads(const std::function<std::vector<float>()>& compute) {
  const std::vector<float> expected = compute();
  std::vector<float> found[2];
  std::thread first([&] { found[0] = compute(); });
  std::thread second([&] { found[1] = compute(); });
  first.join();
  second.join();
  ASSERT_FALSE(expected.empty());
  for (const std::vector<float>& one : found) {
    ASSERT_EQ(one.size(), expected.size());
    EXPECT_EQ(std::memcmp(one.data(), expected.data(), one.size() * sizeof(float)), 0);
  }
}

class ThreadSafetyTest : public testing::Test {
 protected:
  const std::vector<Box> boxes_ = RandomBoxes(1), anchors_ = RandomBoxes(2);
  const std::vector<float> scores_ = RandomFloats(3, kCount* kClasses);
  const NmsOptions options_ = {0.1f, 0.5f, 0, 100, 100};
};

TEST_F(ThreadSafetyTest, Nms) {
  for (const float sigma : {0.0f, 0.5f}) {
    NmsOptions options = options_;
    options.soft_nms_sigma = sigma;
    ExpectSameOnTwoThreads([&] {
      std::vector<float> values;
      for (const Selection& one : MulticlassNms(boxes_.data(), true, scores_.data(), kCount,
                                                kClasses, /*max_candidates=*/0, options)) {
        values.push_back(static_cast<float>(one.index));
      }
      return values;
    });
  }
}

TEST_F(ThreadSafetyTest, BoxCoder) {
  ExpectSameOnTwoThreads([&] {
    std::vector<float> encodings(kCount * 4);
    EncodeFasterRcnn(boxes_.data(), anchors_.data(), kCount, {10, 10, 5, 5}, encodings.data());
    return encodings;
  });
}

TEST_F(ThreadSafetyTest, Postprocess) {
  const std::vector<float> encodings = RandomFloats(4, kCount * 4);
  const RawOutputs raw = {scores_.data(), encodings.data(), anchors_.data(), kCount, kClasses, 1};
  const PostprocessOptions options = {{10, 10, 5, 5}, ScoreFunction::kSigmoid, 1, false, false,
                                      options_};
  ExpectSameOnTwoThreads([&] {
    std::vector<float> values;
    for (const Detection& one : Postprocess(raw, {1, 1}, options)) values.push_back(one.box.ymin);
    return values;
  });
}

TEST_F(ThreadSafetyTest, PasteMasks) {
  const std::vector<float> probabilities = RandomFloats(5, 20 * 7 * 7);
  ExpectSameOnTwoThreads([&] {
    std::vector<uint8_t> masks(20 * 90 * 160);
    PasteMasks({probabilities.data(), boxes_.data(), 20, 7, 7}, 0.5f, 90, 160, /*threads=*/2,
               masks.data());
    return std::vector<float>(masks.begin(), masks.end());
  });
}

TEST_F(ThreadSafetyTest, Preprocess) {
  const std::vector<uint8_t> pixels(90 * 160 * 3, 100);
  const Picture picture = {pixels.data(), 90, 160, 160 * 3};
  const InputFormat format = {64, 64, 36, 64, {1, 2, 3}, {1, 1, 1}, {0, 0, 0}};
  ExpectSameOnTwoThreads([&] {
    std::vector<float> values(64 * 64 * 3);
    Preprocess(picture, format, values.data());
    return values;
  });
}

// A picture for each thread; objects and glyphs are shared.
TEST_F(ThreadSafetyTest, Annotate) {
  constexpr int64_t kHeight = 90, kWidth = 161, kObjects = 20;
  const Glyph glyphs[] = {{-1, 0, 1, 2, 2, 3, 0}, {'x', -1, 0, 2, 3, 4, 4}};
  const std::vector<uint8_t> coverage = {255, 255, 255, 255, 200, 150, 100, 50, 25, 10};
  const std::vector<std::u32string> labels(kObjects, U"xyx");
  const std::vector<uint8_t> colours(3 * kObjects, 200), masks(kObjects * kHeight * kWidth, 1);
  std::vector<Box> boxes;
  std::vector<Point> trail;
  std::vector<int64_t> trail_ends;
  for (int64_t i = 0; i < kObjects; ++i) {
    const Box& box = boxes_[i];
    boxes.push_back({box.ymin * kHeight, box.xmin * kWidth, box.ymax * kHeight, box.xmax * kWidth});
    trail.push_back({boxes.back().ymin, boxes.back().xmin});
    trail.push_back({boxes.back().ymax, boxes.back().xmax});
    trail_ends.push_back(2 * (i + 1));
  }
  const Objects objects = {kObjects,      boxes.data(), colours.data(), colours.data(),
                           labels.data(), masks.data(), trail.data(),   trail_ends.data()};
  ExpectSameOnTwoThreads([&] {
    std::vector<uint8_t> samples(kHeight * kWidth + (kHeight + 1) / 2 * (kWidth + 1), 100);
    uint8_t* chroma = samples.data() + kHeight * kWidth;
    const Canvas canvas = {PixelLayout::kNv12,
                           kHeight,
                           kWidth,
                           {{samples.data(), kWidth}, {chroma, kWidth + 1}},
                           {0.2126, 0.0722, false}};
    Annotate(canvas, objects, {glyphs, 2, coverage.data(), 5}, {2, 2, 2, 200, 115});
    return std::vector<float>(samples.begin(), samples.end());
  });
}

// An assigner serves one thread; the index of anchors serves all.
TEST_F(ThreadSafetyTest, Matcher) {
  const AnchorIndex index(anchors_.data(), kCount);
  const std::vector<float> unmatched(kClasses), weights(20, 1), labels(20 * kClasses, 1);
  const TargetOptions options = {
      {0.5f, 0.5f, true, true}, {10, 10, 5, 5}, 1, kClasses, unmatched.data()};
  ExpectSameOnTwoThreads([&] {
    std::vector<float> class_targets(kCount * kClasses), class_weights(kCount);
    std::vector<float> box_targets(kCount * 4), box_weights(kCount);
    std::vector<int32_t> matches(kCount);
    TargetAssigner assigner(index, options);
    assigner.Assign({boxes_.data(), labels.data(), weights.data(), 20},
                    {class_targets.data(), class_weights.data(), box_targets.data(),
                     box_weights.data(), matches.data()});
    return box_targets;
  });
}

}  // namespace
}  // namespace roadmark
