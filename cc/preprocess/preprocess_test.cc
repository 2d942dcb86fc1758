#include "cc/preprocess/preprocess.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

std::vector<uint8_t> RandomPixels(int64_t height, int64_t width) {
  std::mt19937 random(1);
  std::vector<uint8_t> pixels(height * width * 3);
  for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(random());
  return pixels;
}

InputFormat Format(int64_t height, int64_t width, int64_t resized_height, int64_t resized_width) {
  return {height,
          width,
          resized_height,
          resized_width,
          {123.68f, 116.779f, 103.939f},
          {1.0f, 0.5f, 2.0f},
          {-1, -2, -3}};
}

// One value at a time, in double precision.
double Reference(const Picture& picture, const InputFormat& format, int64_t i, int64_t j, int c) {
  if (i >= format.resized_height || j >= format.resized_width) return format.pad_value[c];
  const double y = static_cast<double>(i) * picture.height / format.resized_height;
  const double x = static_cast<double>(j) * picture.width / format.resized_width;
  const auto y0 = static_cast<int64_t>(y), x0 = static_cast<int64_t>(x);
  const int64_t y1 = std::min(y0 + 1, picture.height - 1), x1 = std::min(x0 + 1, picture.width - 1);
  const auto at = [&](int64_t row, int64_t column) {
    return static_cast<double>(picture.pixels[(row * picture.width + column) * 3 + c]);
  };
  const double upper = at(y0, x0) * (1 - (x - x0)) + at(y0, x1) * (x - x0);
  const double lower = at(y1, x0) * (1 - (x - x0)) + at(y1, x1) * (x - x0);
  return (upper * (1 - (y - y0)) + lower * (y - y0) - format.mean[c]) * format.scale[c];
}

struct Case {
  const char* proves;
  int64_t height, width;
  InputFormat format;
};

const Case kCases[] = {
    {"the same size", 5, 7, Format(5, 7, 5, 7)},
    {"smaller", 50, 33, Format(16, 20, 16, 20)},
    {"a whole factor smaller: no interpolation", 64, 48, Format(32, 24, 32, 24)},
    {"a whole factor in one direction", 64, 50, Format(32, 24, 32, 24)},
    {"larger: rows are used again", 7, 5, Format(40, 60, 40, 60)},
    {"one pixel", 1, 1, Format(6, 4, 6, 4)},
    {"to one pixel", 9, 9, Format(1, 1, 1, 1)},
    {"padded at the bottom", 10, 20, Format(16, 16, 8, 16)},
    {"padded on the right", 20, 10, Format(16, 16, 16, 8)},
    {"padded on both sides", 20, 10, Format(17, 11, 16, 8)},
};

TEST(PreprocessTest, EqualsTheNaiveReference) {
  for (const Case& c : kCases) {
    const std::vector<uint8_t> pixels = RandomPixels(c.height, c.width);
    const Picture picture = {pixels.data(), c.height, c.width};
    std::vector<float> out(c.format.height * c.format.width * 3, std::nanf(""));
    Preprocess(picture, c.format, out.data());
    for (int64_t k = 0; k < static_cast<int64_t>(out.size()); ++k) {
      const int64_t i = k / 3 / c.format.width, j = k / 3 % c.format.width;
      ASSERT_NEAR(out[k], Reference(picture, c.format, i, j, static_cast<int>(k % 3)), 5e-3)
          << c.proves << ": row " << i << ", column " << j;
    }
  }
}

TEST(PreprocessTest, SameBitsWithEveryInstructionSet) {
  const std::vector<uint8_t> pixels = RandomPixels(123, 457);
  const Picture picture = {pixels.data(), 123, 457};
  const InputFormat format = Format(100, 311, 99, 300);
  const auto run = [&](InstructionSet set) {
    ScopedInstructionSet scoped(set);
    std::vector<float> out(100 * 311 * 3);
    Preprocess(picture, format, out.data());
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
