// What pre-processing does to one pixel.
#ifndef ROADMARK_CC_PREPROCESS_PIXEL_H_
#define ROADMARK_CC_PREPROCESS_PIXEL_H_

#include <cmath>
#include <cstdint>

#include "cc/math.h"
#include "cc/preprocess/preprocess.h"

namespace roadmark {

// Where one output line samples the input: between `before` and `after`, `weight` of the way.
struct Sample {
  int64_t before, after;
  float weight;
};

ROADMARK_INLINE Sample SampleAt(int64_t i, int64_t size, int64_t resized) {
  const float step = static_cast<float>(size) / static_cast<float>(resized);
  const float position = static_cast<float>(i) * step;
  const auto whole = static_cast<int64_t>(position);
  const int64_t before = whole < size ? whole : size - 1;
  return {before, before + 1 < size ? before + 1 : before, position - static_cast<float>(before)};
}

// Colour conversion, in integers with kFractionBits bits of fraction.
constexpr int kFractionBits = 20;

struct ColourCoefficients {
  int32_t luma, luma_offset;
  int32_t red_v, green_u, green_v, blue_u;
};

// ITU-R BT.601-7 section 2.5 and BT.709-6 section 3.
inline ColourCoefficients CoefficientsOf(ColourMatrix matrix, bool full_range) {
  const bool bt601 = matrix == ColourMatrix::kBt601;
  const double red = bt601 ? 0.299 : 0.2126, blue = bt601 ? 0.114 : 0.0722;
  const double green = 1 - red - blue;
  const double luma = full_range ? 1.0 : 255.0 / 219, chroma = full_range ? 1.0 : 255.0 / 224;
  const auto fixed = [](double value) {
    return static_cast<int32_t>(std::lround(value * (1 << kFractionBits)));
  };
  return {fixed(luma),
          full_range ? 0 : 16,
          fixed(2 * (1 - red) * chroma),
          fixed(-2 * (1 - blue) * blue / green * chroma),
          fixed(-2 * (1 - red) * red / green * chroma),
          fixed(2 * (1 - blue) * chroma)};
}

ROADMARK_INLINE uint32_t Channel(int32_t fixed) {
  const int32_t value = (fixed + (1 << (kFractionBits - 1))) >> kFractionBits;
  return static_cast<uint32_t>(value < 0 ? 0 : (value > 255 ? 255 : value));
}

// Red is the lowest byte, the highest is 0.
ROADMARK_INLINE uint32_t ConvertPixel(int32_t luma, int32_t u, int32_t v,
                                      const ColourCoefficients& c) {
  const int32_t base = (luma - c.luma_offset) * c.luma;
  const int32_t cb = u - 128, cr = v - 128;
  return Channel(base + c.red_v * cr) | Channel(base + c.green_u * cb + c.green_v * cr) << 8 |
         Channel(base + c.blue_u * cb) << 16;
}

// Conversions to the output's type.
ROADMARK_INLINE void Store(float value, float* out) { *out = value; }

// bfloat16, by its bits. Infinity stays; NaN does not occur.
ROADMARK_INLINE void Store(float value, uint16_t* out) {
  const uint32_t bits = BitsFromFloat(value);
  *out = static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

ROADMARK_INLINE void Store(float value, uint8_t* out) {
  const float clamped = value > 0.0f ? (value < 255.0f ? value : 255.0f) : 0.0f;
  // Adding 2^23 rounds to an integer and leaves it in the low bits.
  *out = static_cast<uint8_t>(BitsFromFloat(clamped + 8388608.0f) & 255u);
}

}  // namespace roadmark

#endif  // ROADMARK_CC_PREPROCESS_PIXEL_H_
