#include "cc/preprocess/preprocess.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
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
    const auto pairs = [&](int64_t constant_step) ROADMARK_INLINED {
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

// Where the columns of the output sample a row.
struct Columns {
  std::vector<int32_t> before, after;  // In bytes from the start of a row.
  std::vector<float> weights;
  int64_t whole = 0;  // Of so many, the first ones, four bytes from `after` lie within the row.
  bool interpolate = false;

  Columns(int64_t width, int64_t resized_width, int64_t pixel_bytes) {
    for (int64_t i = 0; i < resized_width; ++i) {
      const Sample sample = SampleAt(i, width, resized_width);
      interpolate |= sample.weight != 0.0f;
      weights.push_back(sample.weight);
      before.push_back(static_cast<int32_t>(sample.before * pixel_bytes));
      after.push_back(static_cast<int32_t>(sample.after * pixel_bytes));
      whole += sample.after + 1 < width;
    }
  }
};

// Copies the pixels of a row that an output row samples next to each other; what follows
// vectorises.
//
// Packed pixels are three bytes apart, so that values keep the order of [height, width, 3]. Others
// are four bytes apart, so that a channel of each is a shift away. Either way a pixel is copied as
// four bytes, the last one of which does not count, but never from beyond the end of the row.
template <int64_t kOutBytes>
void GatherPixels(const uint8_t* row, const std::vector<int32_t>& offsets, int64_t whole,
                  uint8_t* out) {
  constexpr int64_t kUnrolled = 8;
  const auto count = static_cast<int64_t>(offsets.size());
  const int32_t* offset = offsets.data();
  int64_t i = 0;
  for (; i + kUnrolled <= whole; i += kUnrolled) {
    for (int64_t k = i; k < i + kUnrolled; ++k) {
      std::memcpy(out + k * kOutBytes, row + offset[k], 4);
    }
  }
  for (; i < whole; ++i) std::memcpy(out + i * kOutBytes, row + offset[i], 4);
  for (; i < count; ++i) {
    std::memcpy(out + i * kOutBytes, row + offset[i], kChannels);
  }
}

// A value of a row as it is kept: interpolated, a byte, or a channel of a pixel.
ROADMARK_KERNEL float Widened(float value, int) { return value; }
ROADMARK_KERNEL float Widened(uint8_t value, int) { return static_cast<float>(value); }
ROADMARK_KERNEL float Widened(uint32_t pixel, int shift) {
  return static_cast<float>(static_cast<int32_t>(pixel >> shift & 255));
}

struct Interpolate {
  template <typename Value>
  ROADMARK_KERNEL void Run(const Value* __restrict before, const Value* __restrict after, int shift,
                           const float* __restrict weights, int64_t count, float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) {
      const float left = Widened(before[i], shift), right = Widened(after[i], shift);
      out[i] = left + (right - left) * weights[i];
    }
  }
};

// Rows of a picture at the output's width. Output rows go down the picture, so that the last two
// are all that is ever needed again.
//
// Where columns are interpolated a row is float32 [width, 3], or [3, width] if planar. Elsewhere it
// is the sampled pixels, packed or not.
template <typename Source, bool kPlanar, bool kInterpolates>
class ResizedRows {
 public:
  using Sampled = std::conditional_t<kPlanar, uint32_t, uint8_t>;
  using Value = std::conditional_t<kInterpolates, float, Sampled>;

  ResizedRows(Source source, const Columns& columns)
      : source_(std::move(source)),
        columns_(columns),
        width_(static_cast<int64_t>(columns.before.size())),
        older_((width_ + 1) * kChannels),
        newer_(older_.size()) {
    if constexpr (!kInterpolates) return;
    before_.resize((width_ + 1) * kChannels);
    after_.resize(before_.size());
    for (float weight : columns.weights) {
      weights_.insert(weights_.end(), kPlanar ? 1 : kChannels, weight);
    }
  }

  // The result is valid until the next but one call.
  const Value* Row(int64_t y) {
    if (y == newer_y_) return newer_.data();
    if (y == older_y_) return older_.data();
    std::swap(older_, newer_);
    older_y_ = std::exchange(newer_y_, y);
    const uint8_t* row = source_.Row(y);
    if constexpr (kInterpolates) {
      Gather(row, columns_.before, before_.data());
      Gather(row, columns_.after, after_.data());
      FillNewer();
    } else {
      Gather(row, columns_.before, newer_.data());
    }
    return newer_.data();
  }

  // The part of a row that plane `c` is made of, which Widened() gets out with Shift(c).
  const Value* PlaneOf(const Value* row, int c) const {
    return kInterpolates ? row + c * width_ : row;
  }
  static int Shift(int c) { return kPlanar && !kInterpolates ? 8 * c : 0; }

 private:
  void Gather(const uint8_t* row, const std::vector<int32_t>& offsets, Sampled* out) const {
    constexpr int64_t kOutBytes = kPlanar ? 4 : kChannels;
    GatherPixels<kOutBytes>(row, offsets, columns_.whole, reinterpret_cast<uint8_t*>(out));
  }

  void FillNewer() {
    const int64_t planes = kPlanar ? kChannels : 1, count = width_ * kChannels / planes;
    for (int c = 0; c < planes; ++c) {
      MultiVersion<Interpolate>::Run(before_.data(), after_.data(), 8 * c, weights_.data(), count,
                                     newer_.data() + c * count);
    }
  }

  Source source_;
  const Columns& columns_;
  int64_t width_;
  std::vector<float> weights_;  // Per value of a row, or of a plane's row.
  std::vector<Sampled> before_, after_;
  std::vector<Value> older_, newer_;  // A pixel's fourth byte may lie behind the last pixel.
  int64_t older_y_ = -1, newer_y_ = -1;
};

// Value i has the mean and the scale i % kBlock.
struct Normalise {
  template <typename Value, typename T>
  ROADMARK_KERNEL void Run(const Value* __restrict upper, int shift, const float* __restrict mean,
                           const float* __restrict scale, int64_t count, T* __restrict out) {
    const auto turn = [&](int64_t i, int64_t k) ROADMARK_INLINED {
      Store((Widened(upper[i], shift) - mean[k]) * scale[k], out + i);
    };
    int64_t i = 0;
    for (; i + kBlock <= count; i += kBlock) {
      for (int64_t k = 0; k < kBlock; ++k) turn(i + k, k);
    }
    for (int64_t k = 0; i < count; ++i, ++k) turn(i, k);
  }
};

struct NormaliseBetween {
  template <typename Value, typename T>
  ROADMARK_KERNEL void Run(const Value* __restrict upper, const Value* __restrict lower, int shift,
                           float weight, const float* __restrict mean,
                           const float* __restrict scale, int64_t count, T* __restrict out) {
    const auto turn = [&](int64_t i, int64_t k) ROADMARK_INLINED {
      const float above = Widened(upper[i], shift), below = Widened(lower[i], shift);
      const float value = above + (below - above) * weight;
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
  std::vector<T> pad;  // A whole row of padding.

  // `c` is the plane's channel; -1 for all channels in turn.
  Line(const InputFormat& format, int c) : pad(format.width * (c < 0 ? kChannels : 1)) {
    for (int64_t k = 0; k < kBlock; ++k) {
      mean[k] = format.mean[c < 0 ? k % kChannels : c];
      scale[k] = format.scale[c < 0 ? k % kChannels : c];
    }
    for (size_t k = 0; k < pad.size(); ++k) {
      Store(format.pad_value[c < 0 ? k % kChannels : c], &pad[k]);
    }
  }

  // `lower` counts with `weight`; null for none.
  template <typename Value>
  void Write(const Value* upper, const Value* lower, int shift, float weight, int64_t count,
             T* out) const {
    if (lower) {
      MultiVersion<NormaliseBetween>::Run(upper, lower, shift, weight, mean, scale, count, out);
    } else {
      MultiVersion<Normalise>::Run(upper, shift, mean, scale, count, out);
    }
  }

  void Pad(int64_t count, T* out) const { std::copy_n(pad.data(), count, out); }
};

template <bool kPlanar, typename T, typename Rows>
void WriteRows(Rows rows, int64_t height, const InputFormat& format, int64_t first_row,
               int64_t last_row, T* out) {
  const int64_t planes = kPlanar ? kChannels : 1, values = kChannels / planes;
  const int64_t filled = format.resized_width * values, line = format.width * values;
  std::vector<Line<T>> lines;
  for (int c = 0; c < planes; ++c) lines.emplace_back(format, kPlanar ? c : -1);
  for (int64_t y = first_row; y < last_row; ++y) {
    T* row = out + y * line;
    if (y >= format.resized_height) {
      for (int64_t c = 0; c < planes; ++c) lines[c].Pad(line, row + c * format.height * line);
      continue;
    }
    const Sample sample = SampleAt(y, height, format.resized_height);
    const auto* upper = rows.Row(sample.before);
    const auto* lower = sample.weight == 0.0f ? nullptr : rows.Row(sample.after);
    for (int c = 0; c < planes; ++c) {
      T* start = row + c * format.height * line;
      lines[c].Write(rows.PlaneOf(upper, c), lower ? rows.PlaneOf(lower, c) : nullptr,
                     Rows::Shift(c), sample.weight, filled, start);
      lines[c].Pad(line - filled, start + filled);
    }
  }
}

template <bool kPlanar, typename T, typename Source>
void WriteRows(Source source, int64_t height, int64_t width, const InputFormat& format,
               int64_t first_row, int64_t last_row, T* out) {
  const Columns columns(width, format.resized_width, Source::kPixelBytes);
  if (columns.interpolate) {
    WriteRows<kPlanar>(ResizedRows<Source, kPlanar, true>(std::move(source), columns), height,
                       format, first_row, last_row, out);
  } else {
    WriteRows<kPlanar>(ResizedRows<Source, kPlanar, false>(std::move(source), columns), height,
                       format, first_row, last_row, out);
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
