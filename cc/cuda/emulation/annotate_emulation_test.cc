// The kernels of cc/annotate/annotate.cu on the host: the bytes of cc/annotate/annotate.cc.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cc/annotate/annotate.h"
#include "cc/annotate/annotate_cuda.h"

namespace roadmark {
namespace {

constexpr int64_t kGap = 5;  // Bytes between the rows of a plane, and around it.
constexpr int64_t kLabelLength = 40;

// The letters 'a', 'c', 'e', 'g' and what stands for the others.
struct Atlas {
  explicit Atlas(std::mt19937* random) : coverage(400) {
    for (uint8_t& value : coverage) value = static_cast<uint8_t>((*random)());
    const auto pick = [&](int low, int high) {
      return low + static_cast<int>((*random)() % static_cast<unsigned>(high - low));
    };
    for (int32_t code_point : {-1, 'a' + 0, 'a' + 2, 'a' + 4, 'a' + 6}) {
      glyphs.push_back({code_point, pick(-2, 3), pick(-2, 4), pick(0, 9), pick(0, 12), pick(-2, 9),
                        pick(0, 300)});
    }
  }

  GlyphAtlas View() const {
    return {glyphs.data(), static_cast<int64_t>(glyphs.size()), coverage.data(), 12};
  }

  std::vector<Glyph> glyphs;
  std::vector<uint8_t> coverage;
};

struct Scene {
  Scene(int64_t height, int64_t width, int64_t count, std::mt19937* random)
      : height(height), width(width), codes(count * kLabelLength), masks(count * height * width) {
    std::uniform_real_distribution<float> share(-0.3f, 1.2f);
    const auto y = [&] { return share(*random) * static_cast<float>(height); };
    const auto x = [&] { return share(*random) * static_cast<float>(width); };
    for (int64_t i = 0; i < count; ++i) {
      const float top = y(), left = x();
      boxes.push_back({top, left, top + 0.7f * y(), left + 0.5f * x()});
      labels.emplace_back();
      for (unsigned k = (*random)() % (i % 5 ? 7 : kLabelLength); k > 0; --k) {
        codes[i * kLabelLength + static_cast<int64_t>(labels.back().size())] =
            static_cast<int32_t>('a' + (*random)() % 9);
        labels.back().push_back(codes[i * kLabelLength + labels.back().size()]);
      }
      for (unsigned k = (*random)() % 7; k > 0; --k) points.push_back({y(), x()});
      ends.push_back(static_cast<int64_t>(points.size()));
      for (int k = 0; k < 6; ++k) colours.push_back(static_cast<uint8_t>((*random)()));
    }
    for (uint8_t& value : masks) value = (*random)() % 4 == 0;
  }

  int64_t height, width;
  std::vector<Box> boxes;
  std::vector<std::u32string> labels;
  std::vector<int32_t> codes;
  std::vector<uint8_t> masks, colours;  // Two colours each.
  std::vector<Point> points;
  std::vector<int64_t> ends;
};

// Random samples, random bytes around them.
struct Picture {
  Picture(int64_t height, int64_t width, std::mt19937* random)
      : height(height), width(width), chroma_stride((width + 1) / 2 * 2 + kGap) {
    luma.resize((height + 1) * (width + kGap));
    chroma.resize(((height + 1) / 2 + 1) * chroma_stride);
    for (auto* plane : {&luma, &chroma}) {
      for (uint8_t& value : *plane) value = static_cast<uint8_t>((*random)());
    }
  }

  Canvas OnHost(const YuvEncoding& encoding) {
    return {PixelLayout::kNv12,
            height,
            width,
            {{luma.data() + kGap, width + kGap}, {chroma.data() + kGap, chroma_stride}},
            encoding};
  }
  cuda::Nv12Picture OnDevice(const YuvEncoding& encoding) {
    return {luma.data() + kGap,
            chroma.data() + kGap,
            width + kGap,
            chroma_stride,
            height,
            width,
            encoding};
  }

  int64_t height, width, chroma_stride;
  std::vector<uint8_t> luma, chroma;
};

struct Case {
  const char* proves;
  int64_t height, width, objects;
  bool masks, trails;
};

const Case kCases[] = {
    {"nothing to draw", 20, 30, 0, false, false},
    {"one object", 40, 70, 1, true, true},
    {"one pixel", 1, 1, 3, true, true},
    {"odd sides", 37, 75, 6, true, true},
    {"frames and tags only", 64, 130, 20, false, false},
    {"tags that crowd each other", 50, 90, 70, false, false},
    {"trails", 61, 150, 12, false, true},
    {"masks", 34, 66, 9, true, false},
    {"more objects than a block has threads", 18, 40, 300, false, true},
};

// Draws the first `count` of the scene's objects on the host and, by a count that the device has,
// on the device.
void ExpectSame(const Scene& scene, int32_t count, const Case& c, const Atlas& atlas,
                std::mt19937* random) {
  const std::vector<uint8_t>&colours = scene.colours,
        text_colours(colours.rbegin(), colours.rend());
  const YuvEncoding encoding = {0.299, 0.114, (*random)() % 2 == 0};
  const auto pick = [&](unsigned below) { return static_cast<int>((*random)() % below); };
  const Style style = {1 + pick(4), 1 + pick(6), pick(4), 255 - pick(2) * 90, 115};
  Picture expected(c.height, c.width, random);
  Picture found = expected;
  Annotate(expected.OnHost(encoding),
           {std::min<int64_t>(count, c.objects), scene.boxes.data(), colours.data(),
            text_colours.data(), scene.labels.data(), c.masks ? scene.masks.data() : nullptr,
            scene.points.data(), c.trails ? scene.ends.data() : nullptr},
           atlas.View(), style);
  const cuda::Objects objects = {c.objects,
                                 &count,
                                 scene.boxes.data(),
                                 colours.data(),
                                 text_colours.data(),
                                 scene.codes.data(),
                                 kLabelLength,
                                 c.masks ? scene.masks.data() : nullptr,
                                 scene.points.data(),
                                 static_cast<int64_t>(scene.points.size()),
                                 c.trails ? scene.ends.data() : nullptr};
  std::vector<uint64_t> workspace(cuda::AnnotateWorkspaceBytes(c.objects, kLabelLength) / 8,
                                  UINT64_C(0xabababababababab));
  ASSERT_EQ(cuda::Annotate(found.OnDevice(encoding), objects,
                           {atlas.View(), static_cast<int64_t>(atlas.coverage.size())}, style,
                           workspace.data(), nullptr),
            cudaSuccess);
  EXPECT_EQ(found.luma, expected.luma) << c.proves;
  EXPECT_EQ(found.chroma, expected.chroma) << c.proves;
}

TEST(AnnotateEmulationTest, SameBytesAsOnTheProcessor) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer loses count of stacks that take turns";
#endif
  for (const Case& c : kCases) {
    for (uint32_t seed = 0; seed < 3; ++seed) {
      std::mt19937 random(seed);
      const Atlas atlas(&random);
      const Scene scene(c.height, c.width, c.objects, &random);
      const auto objects = static_cast<int32_t>(c.objects);
      ExpectSame(scene, seed % 2 ? objects + 3 : objects - objects / 3, c, atlas, &random);
    }
  }
}

TEST(AnnotateEmulationTest, WhatCannotBeRefusedIsLeftOut) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer loses count of stacks that take turns";
#endif
  const Case c = {"no masks, no trails", 50, 80, 8, false, false};
  std::mt19937 random(1);
  const Atlas atlas(&random);
  const Scene scene(c.height, c.width, c.objects, &random);
  const YuvEncoding encoding = {0.2126, 0.0722, false};
  const Style style = {2, 2, 2, 255, 115};
  const auto draw = [&](const Box& last) {
    std::mt19937 again(2);
    Picture picture(c.height, c.width, &again);
    std::vector<Box> boxes = scene.boxes;
    boxes.back() = last;
    const int32_t count = std::isnan(last.xmin) ? 8 : 7;
    // Points that are not numbers, ends that are no ends, a bitmap outside of the coverage.
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<Point> points(4, {nan, nan});
    const std::vector<int64_t> ends = {2, 1, -5, INT64_MAX, 4, 3, 4, INT64_MIN};
    const cuda::Objects objects = {
        c.objects,          &count,       boxes.data(), scene.colours.data(), scene.colours.data(),
        scene.codes.data(), kLabelLength, nullptr,      points.data(),        4,
        ends.data()};
    std::vector<uint64_t> workspace(cuda::AnnotateWorkspaceBytes(c.objects, kLabelLength) / 8);
    cuda::Annotate(picture.OnDevice(encoding), objects, {atlas.View(), 40}, style, workspace.data(),
                   nullptr);
    return picture.luma;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(draw({5, nan, 30, 40}), draw({5, 5, 30, 40}));
}

}  // namespace
}  // namespace roadmark
