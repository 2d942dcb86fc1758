// What drawing does to one sample.
#ifndef ROADMARK_CC_ANNOTATE_PIXEL_H_
#define ROADMARK_CC_ANNOTATE_PIXEL_H_

#include <cmath>
#include <cstdint>

#include "cc/annotate/canvas.h"
#include "cc/math.h"

namespace roadmark {

// (value * (255 - alpha) + ink * alpha) / 255, rounded; all of it fits into the 16 bits of a Word,
// or of each of a vector of them.
template <typename Word>
ROADMARK_INLINE Word MixWords(Word value, Word ink, Word alpha) {
  const auto sum = static_cast<Word>(static_cast<Word>(value * (255 - alpha)) +
                                     static_cast<Word>(ink * alpha) + 128);
  return static_cast<Word>(static_cast<Word>(sum + (sum >> 8)) >> 8);
}

ROADMARK_INLINE uint8_t Mix(uint8_t value, uint8_t ink, uint8_t alpha) {
  return static_cast<uint8_t>(MixWords<uint16_t>(value, ink, alpha));
}

// Of the four pixels under a chroma sample. At an odd edge those that the picture has count twice,
// or all four times.
ROADMARK_INLINE uint8_t MeanAlpha(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  return static_cast<uint8_t>(static_cast<uint16_t>(a + b + c + d + 2) >> 2);
}

ROADMARK_INLINE uint8_t ToSample(double value) {
  const long rounded = lround(value);
  return static_cast<uint8_t>(rounded < 0 ? 0 : (rounded > 255 ? 255 : rounded));
}

// R, G, B from 0 to 255 to Y, Cb, Cr (ITU-T H.273).
ROADMARK_INLINE Ink YuvInk(const YuvEncoding& encoding, const uint8_t* rgb) {
  const double red = rgb[0] / 255.0, green = rgb[1] / 255.0, blue = rgb[2] / 255.0;
  const double luma =
      encoding.kr * red + (1 - encoding.kr - encoding.kb) * green + encoding.kb * blue;
  const double cb = (blue - luma) / (2 * (1 - encoding.kb));
  const double cr = (red - luma) / (2 * (1 - encoding.kr));
  const double black = encoding.full_range ? 0 : 16;
  const double luma_scale = encoding.full_range ? 255 : 219;
  const double chroma_scale = encoding.full_range ? 255 : 224;
  return {{ToSample(black + luma_scale * luma), ToSample(128 + chroma_scale * cb),
           ToSample(128 + chroma_scale * cr)}};
}

}  // namespace roadmark

#endif  // ROADMARK_CC_ANNOTATE_PIXEL_H_
