#include "cc/annotate/canvas.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

constexpr YuvEncoding kBt601 = {0.299, 0.114, false}, kBt709 = {0.2126, 0.0722, false};
constexpr uint8_t kOrange[] = {230, 159, 0};
constexpr int64_t kGap = 5;  // Between the rows of a plane.

// A picture of random samples with bytes that are not its own around and between the rows.
struct Picture {
  Picture(PixelLayout layout, int64_t height, int64_t width)
      : canvas{layout, height, width, {}, kBt709} {
    std::mt19937 random(7);
    const int64_t chroma_height = (height + 1) / 2, chroma_width = (width + 1) / 2;
    if (layout == PixelLayout::kRgb) {
      Add(height, width * 3);
    } else {
      Add(height, width);
      Add(chroma_height, layout == PixelLayout::kNv12 ? chroma_width * 2 : chroma_width);
      if (layout == PixelLayout::kI420) Add(chroma_height, chroma_width);
    }
    for (auto& bytes : planes) {
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    }
    for (size_t i = 0; i < planes.size(); ++i) {
      canvas.planes[i] = {planes[i].data() + kGap, row_bytes[i] + kGap};
    }
  }

  void Add(int64_t rows, int64_t bytes) {
    row_bytes.push_back(bytes);
    planes.emplace_back((rows + 1) * (bytes + kGap));
  }

  // The sample of `channel` (0 to 2) for a pixel.
  int At(int channel, int64_t y, int64_t x) const {
    switch (canvas.layout) {
      case PixelLayout::kRgb:
        return Sample(0, y, x * 3 + channel);
      case PixelLayout::kI420:
        return channel ? Sample(channel, y / 2, x / 2) : Sample(0, y, x);
      case PixelLayout::kNv12:
        return channel ? Sample(1, y / 2, x / 2 * 2 + channel - 1) : Sample(0, y, x);
    }
    return -1;
  }

  int Sample(int plane, int64_t row, int64_t byte) const {
    return canvas.planes[plane].samples[row * canvas.planes[plane].stride + byte];
  }

  // How many bytes changed that are no samples of the picture.
  int64_t ForeignChanges(const Picture& before) const {
    int64_t changes = 0;
    for (size_t i = 0; i < planes.size(); ++i) {
      for (size_t k = 0; k < planes[i].size(); ++k) {
        const int64_t row = k / (row_bytes[i] + kGap), byte = k % (row_bytes[i] + kGap);
        const int64_t rows = planes[i].size() / (row_bytes[i] + kGap) - 1;
        const bool is_sample = row < rows && byte >= kGap;
        changes += !is_sample && planes[i][k] != before.planes[i][k];
      }
    }
    return changes;
  }

  Canvas canvas;
  std::vector<int64_t> row_bytes;
  std::vector<std::vector<uint8_t>> planes;
};

using Alpha = std::function<int(int64_t y, int64_t x)>;

// Pixel by pixel, in floating point: luma and RGB by the pixel's own alpha, chroma by the mean of
// those that it lies over.
void ExpectBlended(const Picture& before, const Picture& after, const Alpha& alpha, const Ink& ink,
                   double tolerance, const std::string& proves) {
  const Canvas& canvas = before.canvas;
  EXPECT_EQ(after.ForeignChanges(before), 0) << proves;
  for (int64_t y = 0; y < canvas.height; ++y) {
    for (int64_t x = 0; x < canvas.width; ++x) {
      double sum = 0;
      int pixels = 0;
      for (int64_t v = y / 2 * 2; v < std::min(y / 2 * 2 + 2, canvas.height); ++v) {
        for (int64_t u = x / 2 * 2; u < std::min(x / 2 * 2 + 2, canvas.width); ++u, ++pixels) {
          sum += alpha(v, u);
        }
      }
      for (int channel = 0; channel < 3; ++channel) {
        const bool is_chroma = canvas.layout != PixelLayout::kRgb && channel > 0;
        const double share = (is_chroma ? sum / pixels : alpha(y, x)) / 255;
        const int old = before.At(channel, y, x), now = after.At(channel, y, x);
        ASSERT_NEAR(now, old + (ink.samples[channel] - old) * share, share == 0 ? 0 : tolerance)
            << proves << ": channel " << channel << " at " << y << ", " << x;
      }
    }
  }
}

constexpr PixelLayout kLayouts[] = {PixelLayout::kRgb, PixelLayout::kI420, PixelLayout::kNv12};

struct FrameCase {
  const char* proves;
  Rect outer, inner;
};

const FrameCase kFrames[] = {
    {"even edges", {4, 6, 20, 30}, {6, 8, 18, 28}},
    {"odd edges", {3, 5, 21, 31}, {6, 8, 18, 28}},
    {"both edges in one sample", {5, 7, 19, 29}, {6, 8, 18, 28}},
    {"a filled rectangle", {3, 5, 8, 12}, {}},
    {"a filled rectangle: an inverted inner one", {3, 5, 6, 8}, {5, 7, 4, 6}},
    {"one pixel", {9, 9, 10, 10}, {}},
    {"the whole picture", {0, 0, 27, 41}, {3, 3, 24, 38}},
    {"past every edge", {-10, -20, 100, 200}, {2, 2, 26, 40}},
    {"the inner part past every edge: nothing", {-10, -20, 100, 200}, {-8, -18, 98, 198}},
    {"only its right edge is inside", {-10, -20, 100, 21}, {-7, -17, 97, 18}},
    {"only its bottom edge is inside", {-10, -20, 21, 100}, {-7, -17, 18, 97}},
    {"outside", {50, 3, 60, 9}, {}},
    {"the last column and row of an odd picture", {20, 30, 27, 41}, {22, 32, 26, 40}},
    {"huge", {-(INT64_C(1) << 40), -(INT64_C(1) << 40), 13, 13}, {}},
};

TEST(FillFrameTest, EqualsTheNaiveReference) {
  for (PixelLayout layout : kLayouts) {
    for (int alpha : {255, 100}) {
      for (const FrameCase& c : kFrames) {
        const Picture before(layout, 27, 41);
        Picture after(layout, 27, 41);
        const Ink ink = MakeInk(after.canvas, kOrange);
        FillFrame(after.canvas, c.outer, c.inner, ink, alpha);
        const auto inside = [](const Rect& rect, int64_t y, int64_t x) {
          return rect.top <= y && y < rect.bottom && rect.left <= x && x < rect.right;
        };
        const auto expected = [&](int64_t y, int64_t x) {
          return inside(c.outer, y, x) && !inside(c.inner, y, x) ? alpha : 0;
        };
        // The mean alpha is rounded to 1/255, and the sample again.
        ExpectBlended(before, after, expected, ink, 1.01, c.proves);
      }
    }
  }
}

TEST(FillFrameTest, RandomFramesEqualTheNaiveReference) {
  std::mt19937 random(3);
  std::uniform_int_distribution<int64_t> near(-12, 44);
  for (int i = 0; i < 400; ++i) {
    int64_t y[] = {near(random), near(random), near(random), near(random)};
    int64_t x[] = {near(random), near(random), near(random), near(random)};
    std::sort(y, y + 4), std::sort(x, x + 4);
    const Rect outer = {y[0], x[0], y[3], x[3]}, inner = {y[1], x[1], y[2], x[2]};
    const int64_t height = 20 + i % 3, width = 31 + i % 2;
    const Picture before(kLayouts[i % 3], height, width);
    Picture after(kLayouts[i % 3], height, width);
    const Ink ink = MakeInk(after.canvas, kOrange);
    FillFrame(after.canvas, outer, inner, ink, 255);
    const auto expected = [&](int64_t v, int64_t u) {
      const bool in_inner = y[1] <= v && v < y[2] && x[1] <= u && u < x[2];
      return y[0] <= v && v < y[3] && x[0] <= u && u < x[3] && !in_inner ? 255 : 0;
    };
    ExpectBlended(before, after, expected, ink, 1.01, "frame " + std::to_string(i));
  }
}

struct TileCase {
  const char* proves;
  int64_t height, width;
  Rect bounds;
};

const TileCase kTiles[] = {
    {"even", 16, 24, {2, 4, 10, 20}},
    {"odd corners", 16, 24, {3, 5, 11, 21}},
    {"up to the odd right and bottom edge", 17, 25, {3, 5, 17, 25}},
    {"past every edge", 17, 25, {-5, -4, 30, 40}},
    {"one pixel at the odd corner", 17, 25, {16, 24, 17, 25}},
    {"outside", 17, 25, {17, 25, 20, 30}},
    {"wider than the buffer of chroma alphas", 2, 2101, {0, 1, 2, 2101}},
};

TEST(AlphaTileTest, EqualsTheNaiveReference) {
  for (PixelLayout layout : kLayouts) {
    for (const TileCase& c : kTiles) {
      const Picture before(layout, c.height, c.width);
      Picture after(layout, c.height, c.width);
      const Ink ink = MakeInk(after.canvas, kOrange);
      AlphaTile tile;
      tile.Reset(after.canvas, {0, 0, 9, 9});
      if (!tile.bounds().empty()) tile.Row(0)[0] = 99;  // Is gone after the next reset.
      tile.Reset(after.canvas, c.bounds);
      const Rect& bounds = tile.bounds();
      const auto alpha = [&](int64_t y, int64_t x) {
        const bool is_inside =
            bounds.top <= y && y < bounds.bottom && bounds.left <= x && x < bounds.right;
        return is_inside && (x + y) % 7 < 4 ? static_cast<int>((37 * x + 101 * y) % 256) : 0;
      };
      for (int64_t y = bounds.top; y < bounds.bottom; ++y) {
        for (int64_t x = bounds.left; x < bounds.right; ++x) {
          tile.Row(y)[x - bounds.left] = static_cast<uint8_t>(alpha(y, x));
        }
      }
      tile.Blend(after.canvas, ink);
      ExpectBlended(before, after, alpha, ink, 1.01, c.proves);
    }
  }
}

TEST(BlendMaskTest, EqualsTheNaiveReference) {
  for (PixelLayout layout : kLayouts) {
    for (int64_t side : {1, 2, 20, 27}) {
      const int64_t height = side, width = side + side / 2;
      const Picture before(layout, height, width);
      Picture after(layout, height, width);
      const Ink ink = MakeInk(after.canvas, kOrange);
      std::vector<uint8_t> mask(height * width);
      for (int64_t k = 0; k < height * width; ++k) {
        mask[k] = k % width > 2 && k % 5 != 1 && k / width != 4 && k / width != 5;
      }
      mask.back() = 1;
      BlendMask(after.canvas, mask.data(), ink, 115);
      const auto expected = [&](int64_t y, int64_t x) { return mask[y * width + x] ? 115 : 0; };
      ExpectBlended(before, after, expected, ink, 1.01, "side " + std::to_string(side));
    }
  }
}

TEST(BlendMaskTest, SameBytesWithEveryInstructionSet) {
  for (PixelLayout layout : kLayouts) {
    std::vector<uint8_t> mask(123 * 457);
    for (size_t k = 0; k < mask.size(); ++k) mask[k] = k % 11 < 6;
    const auto run = [&](InstructionSet set) {
      ScopedInstructionSet scoped(set);
      Picture picture(layout, 123, 457);
      BlendMask(picture.canvas, mask.data(), MakeInk(picture.canvas, kOrange), 115);
      return picture.planes;
    };
    const auto expected = run(InstructionSet::kBaseline);
    for (InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
      if (!IsSupported(set)) continue;
      EXPECT_EQ(run(set), expected);
    }
  }
}

struct InkCase {
  const char* proves;
  YuvEncoding encoding;
  uint8_t rgb[3];
  int y, cb, cr;
};

// From the definitions in ITU-R BT.601 and BT.709, by hand.
const InkCase kInks[] = {
    {"black is 16 in limited range", kBt709, {0, 0, 0}, 16, 128, 128},
    {"white is 235 in limited range", kBt709, {255, 255, 255}, 235, 128, 128},
    {"black is 0 in full range", {0.2126, 0.0722, true}, {0, 0, 0}, 0, 128, 128},
    {"white is 255 in full range", {0.2126, 0.0722, true}, {255, 255, 255}, 255, 128, 128},
    {"BT.601 red", kBt601, {255, 0, 0}, 81, 90, 240},
    {"BT.601 green", kBt601, {0, 255, 0}, 145, 54, 34},
    {"BT.601 blue", kBt601, {0, 0, 255}, 41, 240, 110},
    {"BT.709 red", kBt709, {255, 0, 0}, 63, 102, 240},
    {"BT.709 green", kBt709, {0, 255, 0}, 173, 42, 26},
    {"BT.709 blue", kBt709, {0, 0, 255}, 32, 240, 118},
    {"full range stays within a byte", {0.299, 0.114, true}, {0, 0, 255}, 29, 255, 107},
};

TEST(InkTest, FollowsTheEncoding) {
  for (const InkCase& c : kInks) {
    const Canvas canvas = {PixelLayout::kI420, 2, 2, {}, c.encoding};
    const Ink ink = MakeInk(canvas, c.rgb);
    EXPECT_EQ(ink.samples[0], c.y) << c.proves;
    EXPECT_EQ(ink.samples[1], c.cb) << c.proves;
    EXPECT_EQ(ink.samples[2], c.cr) << c.proves;
  }
}

}  // namespace
}  // namespace roadmark
