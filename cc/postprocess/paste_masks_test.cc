#include "cc/postprocess/paste_masks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Scene {
  std::vector<Box> boxes;
  int64_t height, width;  // Of a mask.
  std::vector<float> probabilities;
};

std::vector<uint8_t> Paste(const Scene& scene, float threshold, int64_t rows, int64_t columns,
                           int64_t threads = 1) {
  const auto count = static_cast<int64_t>(scene.boxes.size());
  std::vector<uint8_t> masks(count * rows * columns);
  PasteMasks({scene.probabilities.data(), scene.boxes.data(), count, scene.height, scene.width},
             threshold, rows, columns, threads, masks.data());
  return masks;
}

// Position of a pixel among the samples of one side; NaN outside the box.
float Position(int64_t pixel, int64_t pixels, float low, float high, int64_t samples) {
  const float at = pixels == 1 ? 0.5f : static_cast<float>(pixel) / static_cast<float>(pixels - 1);
  const float in_box = (at - low) / (high - low);
  return in_box >= 0 && in_box <= 1 ? in_box * static_cast<float>(samples - 1) : kNan;
}

// Every pixel for itself.
std::vector<uint8_t> Reference(const Scene& scene, float threshold, int64_t rows, int64_t columns) {
  std::vector<uint8_t> masks;
  for (size_t i = 0; i < scene.boxes.size(); ++i) {
    const Box& box = scene.boxes[i];
    const float* mask = &scene.probabilities[i * scene.height * scene.width];
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < columns; ++column) {
        const float y = Position(row, rows, box.ymin, box.ymax, scene.height);
        const float x = Position(column, columns, box.xmin, box.xmax, scene.width);
        if (std::isnan(y) || std::isnan(x)) {
          masks.push_back(0);
          continue;
        }
        const auto at = [&](int64_t sample_row, int64_t sample_column) {
          return mask[std::min(sample_row, scene.height - 1) * scene.width +
                      std::min(sample_column, scene.width - 1)];
        };
        const auto top = static_cast<int64_t>(y), left = static_cast<int64_t>(x);
        const auto along_y = [&](int64_t sample_column) {
          const float before = at(top, sample_column);
          return before + (at(top + 1, sample_column) - before) * (y - static_cast<float>(top));
        };
        const float before = along_y(left);
        const float value = before + (along_y(left + 1) - before) * (x - static_cast<float>(left));
        masks.push_back(value > threshold);
      }
    }
  }
  return masks;
}

Scene RandomScene(int seed, int64_t count, int64_t height, int64_t width) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  Scene scene = {{}, height, width, {}};
  for (int64_t i = 0; i < count; ++i) {
    // Some reach beyond the picture, some are smaller than a pixel.
    const float y = 1.4f * uniform(random) - 0.3f, x = 1.4f * uniform(random) - 0.3f;
    const float size = std::pow(uniform(random), 3.0f);
    scene.boxes.push_back({y, x, y + size, x + 1.5f * size * uniform(random)});
  }
  for (int64_t i = 0; i < count * height * width; ++i) {
    // Coarse: many are equal to a threshold of 1/2.
    scene.probabilities.push_back(std::round(8 * uniform(random)) / 8);
  }
  return scene;
}

int64_t Count(const std::vector<uint8_t>& masks) {
  return std::accumulate(masks.begin(), masks.end(), int64_t{0});
}

TEST(PasteMasksTest, EqualsEveryPixelForItself) {
  struct Case {
    const char* proves;
    int64_t height, width, rows, columns;
    float threshold;
  };
  const Case cases[] = {
      {"Mask R-CNN", 33, 33, 120, 200, 0.5f},
      {"more samples than pixels", 33, 33, 20, 15, 0.5f},
      {"few samples", 2, 3, 90, 70, 0.4f},
      {"one sample", 1, 1, 40, 50, 0.5f},
      {"one sample a row", 5, 1, 40, 50, 0.5f},
      {"a picture of one row", 7, 7, 1, 50, 0.5f},
      {"a picture of one pixel", 7, 7, 1, 1, 0.3f},
      {"all above the threshold", 7, 7, 30, 30, -1.0f},
      {"none above it", 7, 7, 30, 30, 1.0f},
  };
  for (const Case& c : cases) {
    int64_t set = 0;
    for (int seed = 0; seed < 5; ++seed) {
      const Scene scene = RandomScene(seed, 30, c.height, c.width);
      const auto found = Paste(scene, c.threshold, c.rows, c.columns);
      EXPECT_EQ(found, Reference(scene, c.threshold, c.rows, c.columns)) << c.proves;
      set += Count(found);
    }
    EXPECT_EQ(set > 0, c.threshold < 1) << c.proves;
  }
}

TEST(PasteMasksTest, JustAboveAndAtTheThreshold) {
  for (const float threshold : {0.0f, 0.3f, 0.5f, 0.999f}) {
    Scene scene = {{{0, 0, 1, 1}}, 3, 3, std::vector<float>(9, threshold)};
    EXPECT_EQ(Count(Paste(scene, threshold, 17, 19)), 0);
    scene.probabilities.assign(9, std::nextafter(threshold, 1.0f));
    EXPECT_EQ(Count(Paste(scene, threshold, 17, 19)), 17 * 19);
  }
}

TEST(PasteMasksTest, BoxesThatCoverNoPixel) {
  const Scene scene = {{{0.3f, 0.3f, 0.3f, 0.9f},
                        {0.3f, 0.3f, 0.9f, 0.3f},
                        {0.9f, 0.9f, 0.1f, 0.1f},
                        {0.41f, 0.41f, 0.42f, 0.42f},
                        {1.1f, 1.1f, 2, 2},
                        {-1, -1, -0.1f, -0.1f},
                        {kNan, 0, 1, 1},
                        {0, 0, kInfinity, 1},
                        {-kInfinity, 0, 1, 1}},
                       2,
                       2,
                       std::vector<float>(9 * 4, 1.0f)};
  EXPECT_EQ(Count(Paste(scene, 0.5f, 3, 3)), 0);
  EXPECT_TRUE(Paste({{}, 2, 2, {}}, 0.5f, 3, 3).empty());
  EXPECT_TRUE(Paste(scene, 0.5f, 0, 3).empty());
}

TEST(PasteMasksTest, WhatIsNoProbabilityCountsAsZeroOrOne) {
  const auto masks = [](const std::vector<float>& values) {
    return Paste({{{0, 0, 1, 1}}, 2, 2, values}, 0.25f, 9, 9);
  };
  EXPECT_EQ(masks({kNan, 1, -5, 0.5f}), masks({0, 1, 0, 0.5f}));
  EXPECT_EQ(masks({kInfinity, -kInfinity, 3e38f, 0}), masks({1, 0, 1, 0}));
}

TEST(PasteMasksTest, SameBitsWithEveryInstructionSetAndNumberOfThreads) {
  for (const int64_t width : {1, 5, 33, 64}) {
    const Scene scene = RandomScene(3, 60, 28, width);
    const ScopedInstructionSet baseline(InstructionSet::kBaseline);
    const auto expected = Paste(scene, 0.5f, 200, 300);
    EXPECT_GT(Count(expected), 1000);
    EXPECT_EQ(Paste(scene, 0.5f, 200, 300, 3), expected);
    for (InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
      if (!IsSupported(set)) continue;
      const ScopedInstructionSet scoped(set);
      EXPECT_EQ(Paste(scene, 0.5f, 200, 300), expected);
    }
  }
}

}  // namespace
}  // namespace roadmark
