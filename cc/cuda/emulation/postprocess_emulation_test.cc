// The kernels of cc/postprocess/postprocess.cu, and those of cc/nms that they are made of, on the
// host: the bits of cc/postprocess/postprocess.cc.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "cc/postprocess/postprocess.h"
#include "cc/postprocess/postprocess_cuda.h"

namespace roadmark {
namespace {

constexpr int64_t kImages = 2, kMaskSize = 35;
const std::vector<Window> kWindows = {{1, 1}, {0.6f, 0.8f}};

struct Case {
  const char* proves;
  ScoreFunction function;
  bool background_column, class_agnostic;
  int64_t boxes_per_row, masks_per_row;  // 0 masks: none.
  float soft_nms_sigma;
  int64_t count, max_per_class, max_total;
};

constexpr int64_t kClasses = 5;

const Case kCases[] = {
    {"sigmoid, no masks", ScoreFunction::kSigmoid, false, false, 1, 0, 0, 200, 100, 100},
    {"a mask per row", ScoreFunction::kSigmoid, false, false, 1, 1, 0, 200, 20, 60},
    {"a mask per class", ScoreFunction::kSoftmax, true, false, kClasses, kClasses, 0, 100, 20, 60},
    {"class-agnostic", ScoreFunction::kSigmoid, false, true, 1, kClasses, 0, 150, 9, 50},
    {"soft suppression", ScoreFunction::kSigmoid, true, false, 1, 1, 0.5f, 90, 20, 30},
    {"scores as they are", ScoreFunction::kIdentity, false, false, 1, kClasses, 0, 1, 9, 9},
    {"no results wanted", ScoreFunction::kSigmoid, false, false, 1, 1, 0, 30, 9, 0},
};

struct Outputs {
  Outputs(const Case& c, std::mt19937* random) {
    std::normal_distribution<float> normal(-1, 2);
    std::uniform_real_distribution<float> uniform(0, 1);
    const int64_t rows = kImages * c.count;
    logits.resize(rows * (kClasses + c.background_column));
    // Coarse, so that ties are common.
    for (float& value : logits) value = std::round(8 * normal(*random)) / 8;
    encodings.resize(rows * c.boxes_per_row * 4);
    for (float& value : encodings) value = normal(*random);
    for (int64_t i = 0; i < rows; ++i) {
      const float y = uniform(*random), x = uniform(*random);
      anchors.push_back({y, x, y + 0.4f * uniform(*random), x + 0.4f * uniform(*random)});
    }
    mask_logits.resize(rows * c.masks_per_row * kMaskSize);
    for (float& value : mask_logits) value = normal(*random);
  }

  std::vector<float> logits, encodings, mask_logits;
  std::vector<Box> anchors;
};

void ExpectSame(const Case& c, uint32_t seed) {
  std::mt19937 random(seed);
  const Outputs outputs(c, &random);
  const std::vector<int32_t> counts = {static_cast<int32_t>(c.count),
                                       static_cast<int32_t>(c.count * 3 / 4)};
  const PostprocessOptions options = {{10, 10, 5, 5},
                                      c.function,
                                      1.5f,
                                      c.background_column,
                                      c.class_agnostic,
                                      {0.1f, 0.5f, c.soft_nms_sigma, c.max_per_class, c.max_total}};
  const bool has_masks = c.masks_per_row > 0;
  const cuda::RawBatch raw = {outputs.logits.data(),
                              outputs.encodings.data(),
                              outputs.anchors.data(),
                              /*anchors_per_image=*/true,
                              counts.data(),
                              kWindows.data(),
                              kImages,
                              c.count,
                              kClasses,
                              c.boxes_per_row,
                              has_masks ? outputs.mask_logits.data() : nullptr,
                              c.masks_per_row,
                              kMaskSize};
  std::vector<uint64_t> workspace(cuda::PostprocessWorkspaceBytes(raw, options) / 8 + 32,
                                  UINT64_C(0xabababababababab));
  auto* aligned =
      workspace.data() + (256 - reinterpret_cast<uintptr_t>(workspace.data()) % 256) / 8;
  const int64_t places = kImages * c.max_total;
  std::vector<Box> boxes(places);
  std::vector<float> scores(places), masks(places * kMaskSize);
  std::vector<int32_t> classes(places), found(kImages, -1);
  std::vector<int64_t> rows(places);
  ASSERT_EQ(cuda::Postprocess(raw, options, aligned,
                              {boxes.data(), scores.data(), classes.data(), rows.data(),
                               found.data(), masks.data()},
                              nullptr),
            cudaSuccess);
  for (int64_t image = 0; image < kImages; ++image) {
    const int64_t first = image * c.count;
    const RawOutputs of_image = {outputs.logits.data() + first * (kClasses + c.background_column),
                                 outputs.encodings.data() + first * c.boxes_per_row * 4,
                                 outputs.anchors.data() + first,
                                 counts[image],
                                 kClasses,
                                 c.boxes_per_row};
    const std::vector<Detection> expected = Postprocess(of_image, kWindows[image], options);
    ASSERT_EQ(found[image], static_cast<int32_t>(expected.size())) << c.proves;
    std::vector<float> expected_masks(expected.size() * kMaskSize);
    if (has_masks) {
      SelectMasks(outputs.mask_logits.data() + first * c.masks_per_row * kMaskSize, c.masks_per_row,
                  kMaskSize, expected, expected_masks.data());
    }
    for (size_t i = 0; i < expected.size(); ++i) {
      const int64_t at = image * c.max_total + static_cast<int64_t>(i);
      EXPECT_EQ(rows[at], expected[i].row) << c.proves;
      EXPECT_EQ(classes[at], expected[i].class_index) << c.proves;
      EXPECT_EQ(std::memcmp(&scores[at], &expected[i].score, sizeof(float)), 0) << c.proves;
      EXPECT_EQ(std::memcmp(&boxes[at], &expected[i].box, sizeof(Box)), 0) << c.proves;
    }
    const auto own_masks = masks.begin() + image * c.max_total * kMaskSize;
    EXPECT_TRUE(std::equal(expected_masks.begin(), expected_masks.end(), own_masks,
                           [](float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; }))
        << c.proves;
  }
}

TEST(PostprocessEmulationTest, SameBitsAsOnTheProcessor) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer loses count of stacks that take turns";
#endif
  for (const Case& c : kCases) {
    for (uint32_t seed = 0; seed < 2; ++seed) ExpectSame(c, seed);
  }
}

}  // namespace
}  // namespace roadmark
