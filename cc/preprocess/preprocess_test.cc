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

constexpr Layout kLayouts[] = {Layout::kNhwc, Layout::kNchw};
constexpr ValueType kTypes[] = {ValueType::kFloat32, ValueType::kBfloat16, ValueType::kUint8};

std::vector<uint8_t> RandomBytes(int64_t count, int seed = 1) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

Picture PictureOf(const std::vector<uint8_t>& pixels, int64_t height, int64_t width) {
  return {pixels.data(), height, width, 3 * width};
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

int64_t BytesOf(ValueType type) {
  return type == ValueType::kFloat32 ? 4 : (type == ValueType::kBfloat16 ? 2 : 1);
}

// The bytes of a whole output, filled with what is easily noticed when it stays.
template <typename AnyPicture>
std::vector<uint8_t> Preprocessed(const AnyPicture& picture, const InputFormat& format) {
  std::vector<uint8_t> out(format.height * format.width * 3 * BytesOf(format.type), 0xff);
  Preprocess(picture, format, out.data());
  return out;
}

// The value at a row, column and channel of an output.
double At(const std::vector<uint8_t>& out, const InputFormat& format, int64_t i, int64_t j, int c) {
  const int64_t index = format.layout == Layout::kNhwc ? (i * format.width + j) * 3 + c
                                                       : (c * format.height + i) * format.width + j;
  const uint8_t* start = out.data() + index * BytesOf(format.type);
  if (format.type == ValueType::kUint8) return *start;
  uint32_t bits = 0;
  // A bfloat16 is the upper half of a float32.
  uint8_t* upper = reinterpret_cast<uint8_t*>(&bits) + 4 - BytesOf(format.type);
  std::memcpy(upper, start, BytesOf(format.type));
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// One value at a time, in double precision.
double Reference(const Picture& picture, const InputFormat& format, int64_t i, int64_t j, int c) {
  if (i >= format.resized_height || j >= format.resized_width) return format.pad_value[c];
  const double y = static_cast<double>(i) * picture.height / format.resized_height;
  const double x = static_cast<double>(j) * picture.width / format.resized_width;
  const auto y0 = static_cast<int64_t>(y), x0 = static_cast<int64_t>(x);
  const int64_t y1 = std::min(y0 + 1, picture.height - 1), x1 = std::min(x0 + 1, picture.width - 1);
  const auto at = [&](int64_t row, int64_t column) {
    return static_cast<double>(picture.pixels[row * picture.stride + column * 3 + c]);
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
    {"wider than a block of registers", 50, 133, Format(16, 70, 16, 70)},
    {"a whole factor smaller: no interpolation", 64, 48, Format(32, 24, 32, 24)},
    {"a whole factor in one direction", 64, 50, Format(32, 24, 32, 24)},
    {"larger: rows are used again", 7, 5, Format(40, 60, 40, 60)},
    {"one pixel", 1, 1, Format(6, 4, 6, 4)},
    {"one column", 9, 1, Format(6, 4, 6, 4)},
    {"to one pixel", 9, 9, Format(1, 1, 1, 1)},
    {"padded at the bottom", 10, 20, Format(16, 16, 8, 16)},
    {"padded on the right", 20, 10, Format(16, 16, 16, 8)},
    {"padded on both sides", 20, 10, Format(17, 11, 16, 8)},
};

TEST(PreprocessTest, EqualsTheNaiveReference) {
  for (const Case& c : kCases) {
    for (Layout layout : kLayouts) {
      const std::vector<uint8_t> pixels = RandomBytes(c.height * c.width * 3);
      const Picture picture = PictureOf(pixels, c.height, c.width);
      InputFormat format = c.format;
      format.layout = layout;
      const std::vector<uint8_t> out = Preprocessed(picture, format);
      for (int64_t k = 0; k < format.height * format.width * 3; ++k) {
        const int64_t i = k / 3 / format.width, j = k / 3 % format.width;
        const int channel = static_cast<int>(k % 3);
        ASSERT_NEAR(At(out, format, i, j, channel), Reference(picture, format, i, j, channel), 5e-3)
            << c.proves << ": row " << i << ", column " << j;
      }
    }
  }
}

TEST(PreprocessTest, OtherTypesAreTheFloat32ResultRounded) {
  for (const Case& c : kCases) {
    for (Layout layout : kLayouts) {
      const std::vector<uint8_t> pixels = RandomBytes(c.height * c.width * 3);
      const Picture picture = PictureOf(pixels, c.height, c.width);
      InputFormat exact = c.format, bfloat16 = c.format, uint8 = c.format;
      exact.layout = bfloat16.layout = uint8.layout = layout;
      bfloat16.type = ValueType::kBfloat16;
      uint8.type = ValueType::kUint8;
      const auto values = Preprocessed(picture, exact), halves = Preprocessed(picture, bfloat16),
                 bytes = Preprocessed(picture, uint8);
      for (int64_t k = 0; k < exact.height * exact.width * 3; ++k) {
        const int64_t i = k / 3 / exact.width, j = k / 3 % exact.width;
        const int channel = static_cast<int>(k % 3);
        const double value = At(values, exact, i, j, channel);
        // Eight significant bits, and std::rint takes ties to even.
        int exponent;
        const double mantissa = std::frexp(value, &exponent);
        ASSERT_EQ(At(halves, bfloat16, i, j, channel),
                  std::ldexp(std::rint(std::ldexp(mantissa, 8)), exponent - 8))
            << c.proves;
        ASSERT_EQ(At(bytes, uint8, i, j, channel), std::clamp(std::rint(value), 0.0, 255.0))
            << c.proves;
      }
    }
  }
}

TEST(PreprocessTest, StridesAreDistancesBetweenRows) {
  const std::vector<uint8_t> pixels = RandomBytes(20 * 30 * 3);
  const InputFormat format = Format(7, 8, 7, 8);
  // Columns 5 to 17 of rows 15 to 3, upwards.
  const Picture part = {pixels.data() + (15 * 30 + 5) * 3, 13, 13, -30 * 3};
  std::vector<uint8_t> copy;
  for (int64_t y = 15; y >= 3; --y) {
    const auto row = pixels.begin() + (y * 30 + 5) * 3;
    copy.insert(copy.end(), row, row + 13 * 3);
  }
  EXPECT_EQ(Preprocessed(part, format), Preprocessed(PictureOf(copy, 13, 13), format));
}

TEST(PreprocessTest, RowsInPartsAreTheSameRows) {
  for (Layout layout : kLayouts) {
    const std::vector<uint8_t> pixels = RandomBytes(50 * 33 * 3);
    const Picture picture = PictureOf(pixels, 50, 33);
    InputFormat format = Format(19, 23, 16, 20);
    format.layout = layout;
    const std::vector<uint8_t> expected = Preprocessed(picture, format);
    std::vector<uint8_t> found(expected.size(), 0xff);
    for (int64_t row : {0, 5, 10, 15}) {
      PreprocessRows(picture, format, row, std::min<int64_t>(row + 5, 19), found.data());
    }
    EXPECT_EQ(found, expected);
  }
}

// Planes and a picture in them.
struct Yuv {
  std::vector<uint8_t> y, chroma;
  YuvPicture picture;
};

Yuv RandomYuv(int64_t height, int64_t width, bool interleaved, ColourMatrix matrix, bool full) {
  Yuv yuv;
  const int64_t columns = (width + 1) / 2, rows = (height + 1) / 2;
  const int64_t y_stride = width + 3, stride = (interleaved ? 2 * columns : columns) + 5;
  yuv.y = RandomBytes(height * y_stride, 2);
  yuv.chroma = RandomBytes(2 * rows * stride, 3);
  const uint8_t* u = yuv.chroma.data();
  const uint8_t* v = interleaved ? u + 1 : u + rows * stride;
  yuv.picture = {yuv.y.data(),        u,      v,   height, width, y_stride, stride, stride,
                 interleaved ? 2 : 1, matrix, full};
  return yuv;
}

// By the definition of the colour spaces: Y' = Kr R + Kg G + Kb B, Cb and Cr the scaled differences
// B - Y' and R - Y'.
void ReferenceRgb(const YuvPicture& p, int64_t i, int64_t j, double* rgb) {
  const int64_t block = j / 2 * p.chroma_step;
  const double y = p.y[i * p.y_stride + j];
  const double cb = p.u[i / 2 * p.u_stride + block] - 128.0;
  const double cr = p.v[i / 2 * p.v_stride + block] - 128.0;
  const double kr = p.matrix == ColourMatrix::kBt601 ? 0.299 : 0.2126;
  const double kb = p.matrix == ColourMatrix::kBt601 ? 0.114 : 0.0722;
  const double luma = p.full_range ? y : (y - 16) / 219 * 255;
  const double chroma = p.full_range ? 1 : 255 / 224.0;
  rgb[0] = luma + cr * chroma * 2 * (1 - kr);
  rgb[2] = luma + cb * chroma * 2 * (1 - kb);
  rgb[1] = (luma - kr * rgb[0] - kb * rgb[2]) / (1 - kr - kb);
}

TEST(ConvertToRgbTest, EqualsTheDefinition) {
  for (ColourMatrix matrix : {ColourMatrix::kBt601, ColourMatrix::kBt709}) {
    for (bool full_range : {false, true}) {
      for (bool interleaved : {false, true}) {
        const Yuv yuv = RandomYuv(37, 53, interleaved, matrix, full_range);
        std::vector<uint8_t> rgb(37 * 53 * 3);
        ConvertToRgb(yuv.picture, rgb.data());
        for (int64_t k = 0; k < 37 * 53; ++k) {
          double expected[3];
          ReferenceRgb(yuv.picture, k / 53, k % 53, expected);
          for (int c = 0; c < 3; ++c) {
            EXPECT_LE(std::fabs(rgb[3 * k + c] - std::clamp(expected[c], 0.0, 255.0)), 0.501)
                << "pixel " << k << ", channel " << c;
          }
        }
      }
    }
  }
}

TEST(ConvertToRgbTest, BlackAndWhiteAreExact) {
  const uint8_t chroma = 128;
  for (ColourMatrix matrix : {ColourMatrix::kBt601, ColourMatrix::kBt709}) {
    for (bool full_range : {false, true}) {
      const uint8_t luma[] = {static_cast<uint8_t>(full_range ? 0 : 16),
                              static_cast<uint8_t>(full_range ? 255 : 235)};
      uint8_t rgb[6];
      ConvertToRgb({luma, &chroma, &chroma, 1, 2, 2, 1, 1, 1, matrix, full_range}, rgb);
      EXPECT_EQ(std::vector<int>(rgb, rgb + 6), (std::vector<int>{0, 0, 0, 255, 255, 255}));
    }
  }
}

TEST(PreprocessTest, PlanesAreConvertedBeforeTheyAreResized) {
  for (const Case& c : kCases) {
    for (bool interleaved : {false, true}) {
      const Yuv yuv = RandomYuv(c.height, c.width, interleaved, ColourMatrix::kBt709, false);
      std::vector<uint8_t> rgb(c.height * c.width * 3);
      ConvertToRgb(yuv.picture, rgb.data());
      for (Layout layout : kLayouts) {
        InputFormat format = c.format;
        format.layout = layout;
        EXPECT_EQ(Preprocessed(yuv.picture, format),
                  Preprocessed(PictureOf(rgb, c.height, c.width), format))
            << c.proves;
      }
    }
  }
}

TEST(PreprocessTest, SameBitsWithEveryInstructionSet) {
  const std::vector<uint8_t> pixels = RandomBytes(123 * 457 * 3);
  const Picture picture = PictureOf(pixels, 123, 457);
  const Yuv planes = RandomYuv(123, 457, false, ColourMatrix::kBt601, false);
  const Yuv interleaved = RandomYuv(123, 457, true, ColourMatrix::kBt601, true);
  for (Layout layout : kLayouts) {
    for (ValueType type : kTypes) {
      InputFormat format = Format(100, 311, 99, 300);
      format.layout = layout;
      format.type = type;
      const auto run = [&](InstructionSet set) {
        ScopedInstructionSet scoped(set);
        std::vector<uint8_t> all = Preprocessed(picture, format);
        for (const Yuv* yuv : {&planes, &interleaved}) {
          const std::vector<uint8_t> out = Preprocessed(yuv->picture, format);
          all.insert(all.end(), out.begin(), out.end());
        }
        return all;
      };
      const std::vector<uint8_t> expected = run(InstructionSet::kBaseline);
      for (InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
        if (!IsSupported(set)) continue;
        EXPECT_EQ(run(set), expected);
      }
    }
  }
}

}  // namespace
}  // namespace roadmark
