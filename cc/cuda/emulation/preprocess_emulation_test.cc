// The kernel of cc/preprocess/preprocess.cu on the host: the bytes of cc/preprocess/preprocess.cc.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "cc/preprocess/preprocess.h"
#include "cc/preprocess/preprocess_cuda.h"

namespace roadmark {
namespace {

constexpr Layout kLayouts[] = {Layout::kNhwc, Layout::kNchw};
constexpr ValueType kTypes[] = {ValueType::kFloat32, ValueType::kBfloat16, ValueType::kUint8};
constexpr uint8_t kPoison = 0xab;

struct Case {
  const char* proves;
  int64_t height, width;  // Of the picture.
  int64_t input_height, input_width, resized_height, resized_width;
};

const Case kCases[] = {
    {"the same size", 5, 7, 5, 7, 5, 7},
    {"smaller", 50, 33, 16, 20, 16, 20},
    {"a whole factor smaller: no interpolation", 64, 48, 32, 24, 32, 24},
    {"larger", 7, 5, 20, 30, 20, 30},
    {"wider than a block", 6, 9, 2, 300, 2, 290},
    {"one pixel", 1, 1, 6, 4, 6, 4},
    {"to one pixel", 9, 9, 1, 1, 1, 1},
    {"padded at the bottom", 10, 20, 16, 16, 8, 16},
    {"padded on both sides", 20, 10, 17, 11, 16, 8},
};

InputFormat FormatOf(const Case& c, Layout layout, ValueType type) {
  return {c.input_height,
          c.input_width,
          c.resized_height,
          c.resized_width,
          {123.68f, 116.779f, 103.939f},
          {1.0f, 0.5f, 2.0f},
          {-1, 300, 7.5f},
          layout,
          type};
}

// The last pixel of the output is beyond it.
template <typename AnyPicture>
void ExpectSame(const AnyPicture& picture, const Case& c, const char* what) {
  for (Layout layout : kLayouts) {
    for (ValueType type : kTypes) {
      const InputFormat format = FormatOf(c, layout, type);
      const int64_t values = (format.height * format.width + 1) * 3;
      std::vector<float> found(values), expected(values);
      std::fill_n(reinterpret_cast<uint8_t*>(found.data()), 4 * values, kPoison);
      expected = found;
      ASSERT_EQ(cuda::Preprocess(picture, format, found.data(), nullptr), cudaSuccess) << what;
      Preprocess(picture, format, expected.data());
      EXPECT_EQ(std::memcmp(found.data(), expected.data(), 4 * values), 0)
          << c.proves << ", " << what << ", layout " << static_cast<int>(layout) << ", type "
          << static_cast<int>(type);
    }
  }
}

std::vector<uint8_t> RandomBytes(int64_t count, std::mt19937* random) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>((*random)());
  return bytes;
}

TEST(PreprocessEmulationTest, SameBytesAsOnTheProcessor) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer loses count of stacks that take turns";
#endif
  uint32_t seed = 0;
  for (const Case& c : kCases) {
    std::mt19937 random(++seed);
    // Rows are further apart than they are long.
    const int64_t stride = 3 * c.width + 5, luma_stride = c.width + 3;
    const int64_t chroma_height = (c.height + 1) / 2, chroma_width = (c.width + 1) / 2;
    const int64_t chroma_stride = 2 * chroma_width + 7;
    const std::vector<uint8_t> pixels = RandomBytes(c.height * stride, &random);
    const std::vector<uint8_t> luma = RandomBytes(c.height * luma_stride, &random);
    const std::vector<uint8_t> chroma = RandomBytes(chroma_height * chroma_stride, &random);
    ExpectSame(Picture{pixels.data(), c.height, c.width, stride}, c, "RGB");
    const Picture upside_down = {pixels.data() + (c.height - 1) * stride, c.height, c.width,
                                 -stride};
    ExpectSame(upside_down, c, "RGB from the bottom");
    YuvPicture nv12 = {luma.data(), chroma.data(),        chroma.data() + 1,   c.height,
                       c.width,     luma_stride,          chroma_stride,       chroma_stride,
                       2,           ColourMatrix::kBt709, /*full_range=*/false};
    ExpectSame(nv12, c, "NV12");
    nv12.matrix = ColourMatrix::kBt601;
    nv12.full_range = true;
    ExpectSame(nv12, c, "NV12, BT.601, full range");
  }
}

}  // namespace
}  // namespace roadmark
