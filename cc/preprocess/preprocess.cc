#include "cc/preprocess/preprocess.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "cc/multiversion.h"
#include "cc/preprocess/pixel.h"

namespace roadmark {
namespace {

constexpr int64_t kChannels = 3;

// Means and scales are repeated over blocks of so many values, whole pixels and whole registers.
constexpr int64_t kBlock = 64 * kChannels;

// A row of planes to pixels of four bytes: red is the lowest, the highest is 0.
struct ConvertRow {
  ROADMARK_KERNEL void Run(const uint8_t* __restrict y, const uint8_t* __restrict u,
                           const uint8_t* __restrict v, int64_t step, int64_t width,
                           ColourCoefficients c, uint32_t* __restrict pixels) {
    const auto pairs = [&](int64_t constant_step) {
      for (int64_t k = 0; k < width / 2; ++k) {
        const int32_t cb = u[k * constant_step], cr = v[k * constant_step];
        pixels[2 * k] = ConvertPixel(y[2 * k], cb, cr, c);
        pixels[2 * k + 1] = ConvertPixel(y[2 * k + 1], cb, cr, c);
      }
    };
    // Apart, because the compiler vectorises constant steps only.
    step == 1 ? pairs(1) : pairs(2);
    if (width % 2) {
      pixels[width - 1] = ConvertPixel(y[width - 1], u[width / 2 * step], v[width / 2 * step], c);
    }
  }
};

// Sources of rows. Row() is valid until the next call; pixels are kPixelBytes apart, and the first
// three bytes of each are red, green and blue.
class RgbRows {
 public:
  static constexpr int64_t kPixelBytes = kChannels;
  explicit RgbRows(const Picture& picture) : picture_(picture) {}
  const uint8_t* Row(int64_t y) { return picture_.pixels + y * picture_.stride; }

 private:
  const Picture& picture_;
};

class YuvRows {
 public:
  static constexpr int64_t kPixelBytes = 4;
  explicit YuvRows(const YuvPicture& picture)
      : picture_(picture),
        coefficients_(CoefficientsOf(picture.matrix, picture.full_range)),
        pixels_(picture.width) {}

  const uint8_t* Row(int64_t y) {
    MultiVersion<ConvertRow>::Run(picture_.y + y * picture_.y_stride,
                                  picture_.u + y / 2 * picture_.u_stride,
                                  picture_.v + y / 2 * picture_.v_stride, picture_.chroma_step,
                                  picture_.width, coefficients_, pixels_.data());
    return reinterpret_cast<const uint8_t*>(pixels_.data());
  }

 private:
  const YuvPicture& picture_;
  ColourCoefficients coefficients_;
  std::vector<uint32_t> pixels_;
};
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "red is the first byte of a pixel");

// The pixels of a row that an output row samples, next to each other; what follows vectorises.
//
// Packed pixels are three bytes apart, so that values keep the order of [height, width, 3]. Others
// are four bytes apart, so that a channel of each is a shift away. Either way a pixel is copied as
// four bytes, the last one of which does not count, but never from beyond the end of the row.
struct PixelOffsets {
  std::vector<int32_t> before, after;  // In bytes from the start of a row.
  int64_t whole = 0;  // Of so many, the first ones, four bytes from `after` lie within the row.
};

template <int64_t kOutBytes>
void GatherPixels(const uint8_t* row, const std::vector<int32_t>& offsets, int64_t whole,
                  uint8_t* out) {
  const auto count = static_cast<int64_t>(offsets.size());
  const int32_t* offset = offsets.data();
  for (int64_t i = 0; i < whole; ++i) std::memcpy(out + i * kOutBytes, row + offset[i], 4);
  for (int64_t i = whole; i < count; ++i) {
    std::memcpy(out + i * kOutBytes, row + offset[i], kChannels);
  }
}

struct Widen {
  ROADMARK_KERNEL void Run(const uint8_t* __restrict values, int64_t count, float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(values[i]);
  }
};

struct WidenBetween {
  ROADMARK_KERNEL void Run(const uint8_t* __restrict before, const uint8_t* __restrict after,
                           const float* __restrict weights, int64_t count, float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) {
      const float left = static_cast<float>(before[i]), right = static_cast<float>(after[i]);
      out[i] = left + (right - left) * weights[i];
    }
  }
};

ROADMARK_KERNEL float ChannelOf(uint32_t pixel, int shift) {
  return static_cast<float>(static_cast<int32_t>(pixel >> shift & 255));
}

struct WidenChannel {
  ROADMARK_KERNEL void Run(const uint32_t* __restrict pixels, int shift, int64_t count,
                           float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) out[i] = ChannelOf(pixels[i], shift);
  }
};

struct WidenChannelBetween {
  ROADMARK_KERNEL void Run(const uint32_t* __restrict before, const uint32_t* __restrict after,
                           int shift, const float* __restrict weights, int64_t count,
                           float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) {
      const float left = ChannelOf(before[i], shift), right = ChannelOf(after[i], shift);
      out[i] = left + (right - left) * weights[i];
    }
  }
};

// Rows of a picture at the output's width, float32: [width, 3], or [3, width] if planar. Output
// rows go down the picture, so that the last two are all that is ever needed again.
template <typename Source, bool kPlanar>
class ResizedRows {
 public:
  ResizedRows(Source source, int64_t width, int64_t resized_width)
      : source_(std::move(source)),
        resized_width_(resized_width),
        before_((resized_width + 1) * kOutBytes),
        after_(before_.size()),
        older_(resized_width * kChannels),
        newer_(older_.size()) {
    for (int64_t i = 0; i < resized_width; ++i) {
      const Sample sample = SampleAt(i, width, resized_width);
      interpolates_ |= sample.weight != 0.0f;
      weights_.insert(weights_.end(), kPlanar ? 1 : kChannels, sample.weight);
      offsets_.before.push_back(static_cast<int32_t>(sample.before * Source::kPixelBytes));
      offsets_.after.push_back(static_cast<int32_t>(sample.after * Source::kPixelBytes));
      offsets_.whole += sample.after + 1 < width;
    }
  }

  // The result is valid until the next but one call.
  const float* Row(int64_t y) {
    if (y == newer_y_) return newer_.data();
    if (y == older_y_) return older_.data();
    std::swap(older_, newer_);
    older_y_ = std::exchange(newer_y_, y);
    const uint8_t* row = source_.Row(y);
    GatherPixels<kOutBytes>(row, offsets_.before, offsets_.whole, before_.data());
    if (interpolates_) GatherPixels<kOutBytes>(row, offsets_.after, offsets_.whole, after_.data());
    kPlanar ? FillPlanar() : FillPacked();
    return newer_.data();
  }

 private:
  static constexpr int64_t kOutBytes = kPlanar ? 4 : kChannels;

  void FillPacked() {
    const auto count = static_cast<int64_t>(newer_.size());
    if (!interpolates_) return MultiVersion<Widen>::Run(before_.data(), count, newer_.data());
    MultiVersion<WidenBetween>::Run(before_.data(), after_.data(), weights_.data(), count,
                                    newer_.data());
  }

  void FillPlanar() {
    const int64_t count = resized_width_;
    const auto* before = reinterpret_cast<const uint32_t*>(before_.data());
    const auto* after = reinterpret_cast<const uint32_t*>(after_.data());
    for (int c = 0; c < kChannels; ++c) {
      float* plane = newer_.data() + c * count;
      if (interpolates_) {
        MultiVersion<WidenChannelBetween>::Run(before, after, 8 * c, weights_.data(), count, plane);
      } else {
        MultiVersion<WidenChannel>::Run(before, 8 * c, count, plane);
      }
    }
  }

  Source source_;
  int64_t resized_width_;
  PixelOffsets offsets_;
  std::vector<float> weights_;  // Per value of a row, or of a plane's row.
  bool interpolates_ = false;
  std::vector<uint8_t> before_, after_;  // A pixel's fourth byte may lie behind the last pixel.
  std::vector<float> older_, newer_;
  int64_t older_y_ = -1, newer_y_ = -1;
};

// Value i has the mean and the scale i % kBlock.
struct Normalise {
  template <typename T>
  ROADMARK_KERNEL void Run(const float* __restrict upper, const float* __restrict mean,
                           const float* __restrict scale, int64_t count, T* __restrict out) {
    int64_t i = 0;
    for (; i + kBlock <= count; i += kBlock) {
      for (int64_t k = 0; k < kBlock; ++k) Store((upper[i + k] - mean[k]) * scale[k], out + i + k);
    }
    for (int64_t k = 0; i < count; ++i, ++k) Store((upper[i] - mean[k]) * scale[k], out + i);
  }
};

struct NormaliseBetween {
  template <typename T>
  ROADMARK_KERNEL void Run(const float* __restrict upper, const float* __restrict lower,
                           float weight, const float* __restrict mean,
                           const float* __restrict scale, int64_t count, T* __restrict out) {
    const auto turn = [&](int64_t i, int64_t k) {
      const float value = upper[i] + (lower[i] - upper[i]) * weight;
      Store((value - mean[k]) * scale[k], out + i);
    };
    int64_t i = 0;
    for (; i + kBlock <= count; i += kBlock) {
      for (int64_t k = 0; k < kBlock; ++k) turn(i + k, k);
    }
    for (int64_t k = 0; i < count; ++i, ++k) turn(i, k);
  }
};

// How one run of values in the output is made: a row of [height, width, 3], or of one plane.
template <typename T>
struct Line {
  float mean[kBlock], scale[kBlock];
  T pad[kChannels];
  int64_t pad_period;  // 3, or 1 in a plane.

  // `c` is the plane's channel; -1 for all channels in turn.
  Line(const InputFormat& format, int c) : pad_period(c < 0 ? kChannels : 1) {
    for (int64_t k = 0; k < kBlock; ++k) {
      mean[k] = format.mean[c < 0 ? k % kChannels : c];
      scale[k] = format.scale[c < 0 ? k % kChannels : c];
    }
    for (int64_t k = 0; k < pad_period; ++k) Store(format.pad_value[c < 0 ? k : c], pad + k);
  }

  // `lower` counts with `weight`; null for none.
  void Write(const float* upper, const float* lower, float weight, int64_t count, T* out) const {
    if (lower) {
      MultiVersion<NormaliseBetween>::Run(upper, lower, weight, mean, scale, count, out);
    } else {
      MultiVersion<Normalise>::Run(upper, mean, scale, count, out);
    }
  }

  void Pad(int64_t count, T* out) const {
    for (int64_t i = 0; i < count; i += pad_period) std::copy(pad, pad + pad_period, out + i);
  }
};

template <bool kPlanar, typename T, typename Source>
void WriteRows(Source source, int64_t height, int64_t width, const InputFormat& format,
               int64_t first_row, int64_t last_row, T* out) {
  const int64_t planes = kPlanar ? kChannels : 1, values = kChannels / planes;
  const int64_t filled = format.resized_width * values, line = format.width * values;
  std::vector<Line<T>> lines;
  for (int c = 0; c < planes; ++c) lines.emplace_back(format, kPlanar ? c : -1);
  ResizedRows<Source, kPlanar> rows(std::move(source), width, format.resized_width);
  for (int64_t y = first_row; y < last_row; ++y) {
    T* row = out + y * line;
    if (y >= format.resized_height) {
      for (int64_t c = 0; c < planes; ++c) lines[c].Pad(line, row + c * format.height * line);
      continue;
    }
    const Sample sample = SampleAt(y, height, format.resized_height);
    const float* upper = rows.Row(sample.before);
    const float* lower = sample.weight == 0.0f ? nullptr : rows.Row(sample.after);
    for (int64_t c = 0; c < planes; ++c) {
      T* start = row + c * format.height * line;
      lines[c].Write(upper + c * filled, lower ? lower + c * filled : nullptr, sample.weight,
                     filled, start);
      lines[c].Pad(line - filled, start + filled);
    }
  }
}

template <typename T, typename Rows, typename AnyPicture>
void WriteRowsOf(const AnyPicture& picture, const InputFormat& format, int64_t first_row,
                 int64_t last_row, void* out) {
  T* values = static_cast<T*>(out);
  if (format.layout == Layout::kNchw) {
    WriteRows<true>(Rows(picture), picture.height, picture.width, format, first_row, last_row,
                    values);
  } else {
    WriteRows<false>(Rows(picture), picture.height, picture.width, format, first_row, last_row,
                     values);
  }
}

template <typename Rows, typename AnyPicture>
void WriteAnyRows(const AnyPicture& picture, const InputFormat& format, int64_t first_row,
                  int64_t last_row, void* out) {
  switch (format.type) {
    case ValueType::kFloat32:
      return WriteRowsOf<float, Rows>(picture, format, first_row, last_row, out);
    case ValueType::kBfloat16:
      return WriteRowsOf<uint16_t, Rows>(picture, format, first_row, last_row, out);
    case ValueType::kUint8:
      return WriteRowsOf<uint8_t, Rows>(picture, format, first_row, last_row, out);
  }
}

}  // namespace

void PreprocessRows(const Picture& picture, const InputFormat& format, int64_t first_row,
                    int64_t last_row, void* out) {
  WriteAnyRows<RgbRows>(picture, format, first_row, last_row, out);
}

void PreprocessRows(const YuvPicture& picture, const InputFormat& format, int64_t first_row,
                    int64_t last_row, void* out) {
  WriteAnyRows<YuvRows>(picture, format, first_row, last_row, out);
}

void Preprocess(const Picture& picture, const InputFormat& format, void* out) {
  PreprocessRows(picture, format, 0, format.height, out);
}

void Preprocess(const YuvPicture& picture, const InputFormat& format, void* out) {
  PreprocessRows(picture, format, 0, format.height, out);
}

void ConvertToRgb(const YuvPicture& picture, uint8_t* rgb) {
  YuvRows rows(picture);
  for (int64_t y = 0; y < picture.height; ++y) {
    const uint8_t* row = rows.Row(y);
    for (int64_t x = 0; x < picture.width; ++x, rgb += kChannels) {
      std::copy(row + 4 * x, row + 4 * x + kChannels, rgb);
    }
  }
}

}  // namespace roadmark
