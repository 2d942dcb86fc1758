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
    const auto mix = [&](int64_t i) ROADMARK_INLINED {
      for (int c = 0; c < kChannels; ++c) {
        row[i * kChannels + c] = Mix(row[i * kChannels + c], samples[c], alphas[i]);
      }
    };
    int64_t i = 0;
    if constexpr (kChannels == 1) {
      // Rows of tags are short: what remains of widest registers would be most of them.
      constexpr int64_t kWidest = 64;
      for (; i + kWidest <= count; i += kWidest) {
        for (int64_t k = i; k < i + kWidest; ++k) mix(k);
      }
      for (; i + 8 <= count; i += 8) MixEight(row + i, alphas + i, samples[0]);
    }
    for (; i < count; ++i) mix(i);
  }

 private:
  ROADMARK_KERNEL void MixEight(uint8_t* __restrict row, const uint8_t* __restrict alphas,
                                uint8_t ink) {
    typedef uint8_t Bytes __attribute__((vector_size(8)));
    typedef uint16_t Words __attribute__((vector_size(16)));
    Bytes values, of_values;
    std::memcpy(&values, row, sizeof(values));
    std::memcpy(&of_values, alphas, sizeof(of_values));
    const Words mixed = MixWords(__builtin_convertvector(values, Words), Words{} + uint16_t{ink},
                                 __builtin_convertvector(of_values, Words));
    values = __builtin_convertvector(mixed, Bytes);
    std::memcpy(row, &values, sizeof(values));
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

// Samples of a plane: rows [top, bottom), columns [left, right).
struct Block {
  int64_t top, bottom, left, right;
};

// Rows of a block lie far apart, where the processor does not look ahead by itself; and stores,
// done in order, would wait for one line of the cache after the other.
constexpr int64_t kRowsAhead = 16;

void FetchRow(const uint8_t* row, int64_t bytes) {
  constexpr int64_t kCacheLine = 64;
  for (int64_t i = 0; i < bytes; i += kCacheLine) __builtin_prefetch(row + i, 1);
  __builtin_prefetch(row + bytes - 1, 1);
}

// Copies the first `bytes` of a row to the `rows` - 1 rows below it, as two words that may overlap.
template <typename Word>
void CopyDown(uint8_t* row, int64_t stride, int64_t rows, int64_t bytes) {
  Word first, last;
  const int64_t offset = bytes - static_cast<int64_t>(sizeof(Word));
  std::memcpy(&first, row, sizeof(Word));
  std::memcpy(&last, row + offset, sizeof(Word));
  int64_t y = 1;
  const auto copy = [&]() ROADMARK_INLINED {
    row += stride;
    std::memcpy(row, &first, sizeof(Word));
    if (offset) std::memcpy(row + offset, &last, sizeof(Word));
  };
  for (; y + kRowsAhead < rows; ++y) {
    copy();
    __builtin_prefetch(row + kRowsAhead * stride, 1);
  }
  for (; y < rows; ++y) copy();
}

template <int kChannels>
void FillBlock(const Plane& plane, const Block& block, const uint8_t* ink) {
  uint8_t* row = plane.samples + block.top * plane.stride + block.left * kChannels;
  const int64_t rows = block.bottom - block.top, bytes = (block.right - block.left) * kChannels;
  for (int64_t i = 0; i < bytes; i += kChannels) {
    for (int c = 0; c < kChannels; ++c) row[i + c] = ink[c];
  }
  // Most blocks are the sides of frames: too narrow for a call of memcpy.
  if (bytes == 1) return CopyDown<uint8_t>(row, plane.stride, rows, bytes);
  if (bytes < 4) return CopyDown<uint16_t>(row, plane.stride, rows, bytes);
  if (bytes < 8) return CopyDown<uint32_t>(row, plane.stride, rows, bytes);
  if (bytes <= 16) return CopyDown<uint64_t>(row, plane.stride, rows, bytes);
  for (int64_t y = 1; y < rows; ++y) {
    if (y + kRowsAhead < rows) FetchRow(row + (y + kRowsAhead) * plane.stride, bytes);
    std::memcpy(row + y * plane.stride, row, bytes);
  }
}

template <int kChannels>
void BlendBlock(const Plane& plane, const Block& block, const uint8_t* ink, uint8_t alpha) {
  // Copies, because the compiler takes the originals for a part of the plane.
  uint8_t samples[kChannels];
  for (int c = 0; c < kChannels; ++c) samples[c] = ink[c];
  const int64_t rows = block.bottom - block.top, columns = block.right - block.left;
  uint8_t* row = plane.samples + block.top * plane.stride + block.left * kChannels;
  // Most blocks are one sample wide, under the side of a frame.
  if (columns == 1) {
    for (int64_t y = 0; y < rows; ++y, row += plane.stride) {
      if (y + kRowsAhead < rows) FetchRow(row + kRowsAhead * plane.stride, 1);
      for (int c = 0; c < kChannels; ++c) row[c] = Mix(row[c], samples[c], alpha);
    }
    return;
  }
  for (int64_t y = 0; y < rows; ++y, row += plane.stride) {
    for (int64_t x = 0; x < columns; ++x) {
      for (int c = 0; c < kChannels; ++c) {
        row[x * kChannels + c] = Mix(row[x * kChannels + c], samples[c], alpha);
      }
    }
  }
}

// Planes are filled sample by sample, where a sample covers 1 << shift pixels in each direction.

struct Frame {
  Rect picture, outer, inner;
};

// One direction of a frame, cut into parts in which all samples cover as many pixels of each.
struct Part {
  int64_t begin, end;
  int64_t in_outer, in_inner, in_picture;  // Pixels under a sample; 1 or 2 at most.
};

class Parts {
 public:
  Parts(int64_t outer_begin, int64_t inner_begin, int64_t inner_end, int64_t outer_end,
        int64_t picture_end, int shift) {
    int64_t begin = outer_begin >> shift;
    for (int64_t pixel : {outer_begin, inner_begin, inner_end, outer_end}) {
      // Only the sample that an edge goes through is covered in part.
      for (int64_t end : {pixel >> shift, (pixel + (1 << shift) - 1) >> shift}) {
        if (end <= begin) continue;
        *end_++ = {begin, end, Covered(begin, shift, outer_begin, outer_end),
                   Covered(begin, shift, inner_begin, inner_end),
                   Covered(begin, shift, 0, picture_end)};
        begin = end;
      }
    }
  }

  const Part* begin() const { return parts_; }
  const Part* end() const { return end_; }

 private:
  // How many of the pixels under sample `index` lie in [begin, end).
  static int64_t Covered(int64_t index, int shift, int64_t begin, int64_t end) {
    const int64_t first = std::max(index << shift, begin);
    return std::max<int64_t>(std::min((index + 1) << shift, end) - first, 0);
  }

  Part parts_[8];
  Part* end_ = parts_;
};

int64_t AlphaOf(const Part& rows, const Part& columns, int alpha) {
  const int64_t covered = rows.in_outer * columns.in_outer - rows.in_inner * columns.in_inner;
  const int64_t pixels = rows.in_picture * columns.in_picture;
  // 1, 2 or 4 pixels, so that this is covered * alpha / pixels, rounded.
  return (covered * alpha + pixels / 2) >> (pixels / 2);
}

template <int kChannels>
void FillPlane(const Plane& plane, int shift, const Frame& frame, const uint8_t* ink, int alpha) {
  const Rect &outer = frame.outer, &inner = frame.inner;
  const Parts columns(outer.left, inner.left, inner.right, outer.right, frame.picture.right, shift);
  for (const Part& rows :
       Parts(outer.top, inner.top, inner.bottom, outer.bottom, frame.picture.bottom, shift)) {
    const Part* part = columns.begin();
    for (int64_t next = AlphaOf(rows, *part, alpha); part != columns.end();) {
      Block block = {rows.begin, rows.end, part->begin, part->end};
      const int64_t of_block = next;
      while (++part != columns.end() && (next = AlphaOf(rows, *part, alpha)) == of_block) {
        block.right = part->end;
      }
      if (of_block == 255) {
        FillBlock<kChannels>(plane, block, ink);
      } else if (of_block > 0) {
        BlendBlock<kChannels>(plane, block, ink, static_cast<uint8_t>(of_block));
      }
    }
  }
}

template <PixelLayout kLayout>
struct BlendPair {
  ROADMARK_KERNEL void Run(const Canvas* canvas, int64_t y, int64_t x, int64_t width,
                           const uint8_t* upper, const uint8_t* lower, const Ink* ink) {
    const auto row = [&](int plane, int64_t index) ROADMARK_INLINED {
      return canvas->planes[plane].samples + index * canvas->planes[plane].stride;
    };
    constexpr int kChannels = kLayout == PixelLayout::kRgb ? 3 : 1;
    const uint8_t* samples = ink->samples;
    MixRow<kChannels>::Run(row(0, y) + x * kChannels, upper, width, samples);
    if (y + 1 < canvas->height) {
      MixRow<kChannels>::Run(row(0, y + 1) + x * kChannels, lower, width, samples);
    }
    if constexpr (kLayout != PixelLayout::kRgb) {
      constexpr int64_t kPart = 512;
      uint8_t means[kPart];
      const int64_t chroma_width = (width + 1) / 2;
      for (int64_t begin = 0; begin < chroma_width; begin += kPart) {
        const int64_t count = std::min(kPart, chroma_width - begin), column = x / 2 + begin;
        MeanAlphas::Run(upper + 2 * begin, lower + 2 * begin, count, means);
        if constexpr (kLayout == PixelLayout::kNv12) {
          MixRow<2>::Run(row(1, y / 2) + column * 2, means, count, samples + 1);
        } else {
          MixRow<1>::Run(row(1, y / 2) + column, means, count, samples + 1);
          MixRow<1>::Run(row(2, y / 2) + column, means, count, samples + 2);
        }
      }
    }
  }
};

// Blends a pair of rows, the first of which is even, from the even column `x` on. At an odd right
// edge there is one more alpha than `width` pixels; at an odd bottom edge both rows are the same.
void BlendRows(const Canvas& canvas, int64_t y, int64_t x, int64_t width, const uint8_t* upper,
               const uint8_t* lower, const Ink& ink) {
  const auto blend = [&](auto kernel) {
    MultiVersion<decltype(kernel)>::Run(&canvas, y, x, width, upper, lower, &ink);
  };
  switch (canvas.layout) {
    case PixelLayout::kRgb:
      return blend(BlendPair<PixelLayout::kRgb>());
    case PixelLayout::kI420:
      return blend(BlendPair<PixelLayout::kI420>());
    case PixelLayout::kNv12:
      return blend(BlendPair<PixelLayout::kNv12>());
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

void AlphaTile::RepeatLastColumn(const Canvas& canvas) {
  const int64_t width = bounds_.right - left_;
  if (bounds_.right != canvas.width || width % 2 == 0) return;
  for (int64_t y = bounds_.top; y < bounds_.bottom; ++y) {
    uint8_t* row = alphas_.data() + Offset(y);
    row[width] = row[width - 1];
  }
}

void AlphaTile::Blend(const Canvas& canvas, const Ink& ink) {
  RepeatLastColumn(canvas);
  const int64_t width = bounds_.right - left_;
  for (int64_t y = top_; y < bounds_.bottom; y += 2) {
    const uint8_t* upper = alphas_.data() + Offset(y);
    const uint8_t* lower = y + 1 < canvas.height ? upper + stride_ : upper;
    const Span span = NonZeroInPair(upper, lower, width);
    if (span.begin == span.end) continue;
    BlendRows(canvas, y, left_ + span.begin, span.end - span.begin, upper + span.begin,
              lower + span.begin, ink);
  }
}

void AlphaTile::Blend(const Canvas& canvas, const Ink& ink, const Rect& drawn) {
  if (drawn.empty()) return;
  RepeatLastColumn(canvas);
  const int64_t begin = (drawn.left - left_) & ~INT64_C(1), end = drawn.right - left_;
  for (int64_t y = drawn.top & ~INT64_C(1); y < drawn.bottom; y += 2) {
    const uint8_t* upper = alphas_.data() + Offset(y) + begin;
    const uint8_t* lower = y + 1 < canvas.height ? upper + stride_ : upper;
    BlendRows(canvas, y, left_ + begin, end - begin, upper, lower, ink);
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
