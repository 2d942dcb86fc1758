#include "cc/annotate/canvas.h"

#include <algorithm>
#include <cstring>

#include "cc/annotate/pixel.h"
#include "cc/multiversion.h"

namespace roadmark {
namespace {

template <int kChannels>
struct MixRow {
  ROADMARK_KERNEL void Run(uint8_t* __restrict row, const uint8_t* __restrict alphas, int64_t count,
                           const uint8_t* ink) {
    uint8_t samples[kChannels];
    for (int c = 0; c < kChannels; ++c) samples[c] = ink[c];
    for (int64_t i = 0; i < count; ++i) {
      for (int c = 0; c < kChannels; ++c) {
        row[i * kChannels + c] = Mix(row[i * kChannels + c], samples[c], alphas[i]);
      }
    }
  }
};

// The mean alpha under each chroma sample.
struct MeanAlphas {
  ROADMARK_KERNEL void Run(const uint8_t* __restrict upper, const uint8_t* __restrict lower,
                           int64_t count, uint8_t* __restrict out) {
    for (int64_t i = 0; i < count; ++i) {
      out[i] = MeanAlpha(upper[2 * i], upper[2 * i + 1], lower[2 * i], lower[2 * i + 1]);
    }
  }
};

// Most runs are the sides of frames: too short for a call of memset.
void FillBytes(uint8_t* run, int64_t count, uint8_t value) {
  if (count > 16) {
    std::memset(run, value, count);
    return;
  }
  const uint64_t word = value * UINT64_C(0x0101010101010101);
  if (count >= 8) {
    std::memcpy(run, &word, 8);
    std::memcpy(run + count - 8, &word, 8);
  } else if (count >= 4) {
    std::memcpy(run, &word, 4);
    std::memcpy(run + count - 4, &word, 4);
  } else if (count > 0) {
    run[0] = run[count / 2] = run[count - 1] = value;
  }
}

template <int kChannels>
void FillRun(uint8_t* run, int64_t count, const uint8_t* ink, uint8_t alpha) {
  // Copies, because the compiler takes the originals for a part of the run.
  uint8_t samples[kChannels];
  for (int c = 0; c < kChannels; ++c) samples[c] = ink[c];
  if (kChannels == 1 && alpha == 255) {
    FillBytes(run, count, samples[0]);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    for (int c = 0; c < kChannels; ++c) {
      uint8_t& value = run[i * kChannels + c];
      value = alpha == 255 ? samples[c] : Mix(value, samples[c], alpha);
    }
  }
}

// Planes are filled sample by sample, where a sample covers 1 << shift pixels in each direction.

// How many of the pixels under sample `index` lie in [begin, end).
int64_t Covered(int64_t index, int shift, int64_t begin, int64_t end) {
  const int64_t first = std::max(index << shift, begin);
  return std::max<int64_t>(std::min((index + 1) << shift, end) - first, 0);
}

struct Frame {
  Rect picture, outer, inner;
};

// The parts of one row of samples that are filled with one alpha each.
class RowRuns {
 public:
  struct Run {
    int64_t begin, end;
    uint8_t alpha;
  };

  RowRuns(const Frame& frame, int shift, int alpha) : frame_(frame), shift_(shift), alpha_(alpha) {
    const int64_t columns[] = {frame.outer.left, frame.inner.left, frame.inner.right,
                               frame.outer.right};
    int64_t last = 0;
    for (int i = 0; i < 4; ++i) {
      // Only the sample that an edge goes through is covered in part.
      last = edges_[2 * i] = std::max(columns[i] >> shift, last);
      last = edges_[2 * i + 1] = std::max((columns[i] + (1 << shift) - 1) >> shift, last);
    }
  }

  // Most rows have the runs of the row before them.
  void MoveTo(int64_t row) {
    const int64_t in_outer = Covered(row, shift_, frame_.outer.top, frame_.outer.bottom);
    const int64_t in_inner = Covered(row, shift_, frame_.inner.top, frame_.inner.bottom);
    const int64_t in_picture = Covered(row, shift_, 0, frame_.picture.bottom);
    if (in_outer == in_outer_ && in_inner == in_inner_ && in_picture == in_picture_) return;
    in_outer_ = in_outer, in_inner_ = in_inner, in_picture_ = in_picture;
    end_ = runs_;
    for (int i = 0; i < 7; ++i) Add(edges_[i], edges_[i + 1]);
  }

  const Run* begin() const { return runs_; }
  const Run* end() const { return end_; }

 private:
  void Add(int64_t begin, int64_t end) {
    if (begin >= end) return;
    const int64_t covered =
        in_outer_ * Covered(begin, shift_, frame_.outer.left, frame_.outer.right) -
        in_inner_ * Covered(begin, shift_, frame_.inner.left, frame_.inner.right);
    const int64_t pixels = in_picture_ * Covered(begin, shift_, 0, frame_.picture.right);
    const int64_t alpha = (covered * alpha_ + pixels / 2) / pixels;
    if (alpha > 0) *end_++ = {begin, end, static_cast<uint8_t>(alpha)};
  }

  const Frame& frame_;
  int shift_, alpha_;
  int64_t edges_[8];
  int64_t in_outer_ = -1, in_inner_ = -1, in_picture_ = -1;
  Run runs_[7];
  Run* end_ = runs_;
};

template <int kChannels>
void FillPlane(const Plane& plane, int shift, const Frame& frame, const uint8_t* ink, int alpha) {
  RowRuns runs(frame, shift, alpha);
  const int64_t end = (frame.outer.bottom + (1 << shift) - 1) >> shift;
  for (int64_t y = frame.outer.top >> shift; y < end; ++y) {
    runs.MoveTo(y);
    uint8_t* row = plane.samples + y * plane.stride;
    for (const RowRuns::Run& run : runs) {
      FillRun<kChannels>(row + run.begin * kChannels, run.end - run.begin, ink, run.alpha);
    }
  }
}

// Blends a pair of rows, the first of which is even, from the even column `x` on. At an odd right
// edge there is one more alpha than `width` pixels; at an odd bottom edge both rows are the same.
void BlendRows(const Canvas& canvas, int64_t y, int64_t x, int64_t width, const uint8_t* upper,
               const uint8_t* lower, const Ink& ink) {
  const uint8_t* const rows[] = {upper, lower};
  const Plane& first = canvas.planes[0];
  for (int64_t i = 0; i < 2 && y + i < canvas.height; ++i) {
    uint8_t* row = first.samples + (y + i) * first.stride;
    if (canvas.layout == PixelLayout::kRgb) {
      MultiVersion<MixRow<3>>::Run(row + x * 3, rows[i], width, ink.samples);
    } else {
      MultiVersion<MixRow<1>>::Run(row + x, rows[i], width, ink.samples);
    }
  }
  if (canvas.layout == PixelLayout::kRgb) return;
  constexpr int64_t kPart = 512;
  uint8_t means[kPart];
  const int64_t chroma_width = (width + 1) / 2;
  for (int64_t begin = 0; begin < chroma_width; begin += kPart) {
    const int64_t count = std::min(kPart, chroma_width - begin);
    MultiVersion<MeanAlphas>::Run(upper + 2 * begin, lower + 2 * begin, count, means);
    const int64_t column = x / 2 + begin;
    const auto row = [&](int plane) {
      return canvas.planes[plane].samples + y / 2 * canvas.planes[plane].stride;
    };
    if (canvas.layout == PixelLayout::kNv12) {
      MultiVersion<MixRow<2>>::Run(row(1) + column * 2, means, count, ink.samples + 1);
    } else {
      MultiVersion<MixRow<1>>::Run(row(1) + column, means, count, ink.samples + 1);
      MultiVersion<MixRow<1>>::Run(row(2) + column, means, count, ink.samples + 2);
    }
  }
}

// The first and, without, the last position of a value that is not 0; both `count` if all are.
struct Span {
  int64_t begin, end;
};

Span NonZero(const uint8_t* values, int64_t count) {
  int64_t begin = 0, end = count;
  uint64_t word;
  for (; begin + 8 <= end; begin += 8) {
    std::memcpy(&word, values + begin, 8);
    if (word) break;
  }
  while (begin < end && !values[begin]) ++begin;
  for (; end - 8 >= begin; end -= 8) {
    std::memcpy(&word, values + end - 8, 8);
    if (word) break;
  }
  while (end > begin && !values[end - 1]) --end;
  return begin < end ? Span{begin, end} : Span{count, count};
}

// Of two rows together, widened to begin at an even position.
Span NonZeroInPair(const uint8_t* upper, const uint8_t* lower, int64_t count) {
  Span span = NonZero(upper, count);
  if (lower != upper) {
    const Span other = NonZero(lower, count);
    if (span.begin == count) {
      span = other;
    } else if (other.begin < count) {
      span = {std::min(span.begin, other.begin), std::max(span.end, other.end)};
    }
  }
  return {span.begin & ~INT64_C(1), span.end};
}

}  // namespace

Ink MakeInk(const Canvas& canvas, const uint8_t* rgb) {
  if (canvas.layout == PixelLayout::kRgb) return {{rgb[0], rgb[1], rgb[2]}};
  return YuvInk(canvas.encoding, rgb);
}

void FillFrame(const Canvas& canvas, const Rect& outer, const Rect& inner, const Ink& ink,
               int alpha) {
  Frame frame = {Bounds(canvas), Intersection(outer, Bounds(canvas)), {}};
  if (frame.outer.empty()) return;
  frame.inner = Intersection(inner, frame.outer);
  if (frame.inner.empty()) {
    frame.inner = {frame.outer.bottom, frame.outer.right, frame.outer.bottom, frame.outer.right};
  }
  switch (canvas.layout) {
    case PixelLayout::kRgb:
      FillPlane<3>(canvas.planes[0], 0, frame, ink.samples, alpha);
      return;
    case PixelLayout::kI420:
      FillPlane<1>(canvas.planes[0], 0, frame, ink.samples, alpha);
      FillPlane<1>(canvas.planes[1], 1, frame, ink.samples + 1, alpha);
      FillPlane<1>(canvas.planes[2], 1, frame, ink.samples + 2, alpha);
      return;
    case PixelLayout::kNv12:
      FillPlane<1>(canvas.planes[0], 0, frame, ink.samples, alpha);
      FillPlane<2>(canvas.planes[1], 1, frame, ink.samples + 1, alpha);
      return;
  }
}

void AlphaTile::Reset(const Canvas& canvas, const Rect& bounds) {
  bounds_ = Intersection(bounds, Bounds(canvas));
  if (bounds_.empty()) bounds_ = {0, 0, 0, 0};
  top_ = bounds_.top & ~INT64_C(1);
  left_ = bounds_.left & ~INT64_C(1);
  stride_ = (bounds_.right - left_ + 1) & ~INT64_C(1);
  alphas_.assign(((bounds_.bottom - top_ + 1) & ~INT64_C(1)) * stride_, 0);
}

void AlphaTile::Blend(const Canvas& canvas, const Ink& ink) {
  const int64_t width = bounds_.right - left_;
  if (bounds_.right == canvas.width && width % 2) {
    for (int64_t y = bounds_.top; y < bounds_.bottom; ++y) {
      uint8_t* row = alphas_.data() + Offset(y);
      row[width] = row[width - 1];
    }
  }
  for (int64_t y = top_; y < bounds_.bottom; y += 2) {
    const uint8_t* upper = alphas_.data() + Offset(y);
    const uint8_t* lower = y + 1 < canvas.height ? upper + stride_ : upper;
    const Span span = NonZeroInPair(upper, lower, width);
    if (span.begin == span.end) continue;
    BlendRows(canvas, y, left_ + span.begin, span.end - span.begin, upper + span.begin,
              lower + span.begin, ink);
  }
}

void BlendMask(const Canvas& canvas, const uint8_t* mask, const Ink& ink, int alpha) {
  std::vector<uint8_t> alphas(2 * (canvas.width + 1));
  for (int64_t y = 0; y < canvas.height; y += 2) {
    const uint8_t* upper = mask + y * canvas.width;
    const uint8_t* lower = y + 1 < canvas.height ? upper + canvas.width : upper;
    const Span span = NonZeroInPair(upper, lower, canvas.width);
    if (span.begin == span.end) continue;
    const int64_t width = span.end - span.begin;
    uint8_t* rows[] = {alphas.data(), alphas.data() + width + 1};
    for (int i = 0; i < 2; ++i) {
      const uint8_t* source = (i ? lower : upper) + span.begin;
      for (int64_t x = 0; x < width; ++x) {
        rows[i][x] = source[x] ? static_cast<uint8_t>(alpha) : 0;
      }
      rows[i][width] = span.end == canvas.width ? rows[i][width - 1] : 0;
    }
    BlendRows(canvas, y, span.begin, width, rows[0], rows[1], ink);
  }
}

}  // namespace roadmark
