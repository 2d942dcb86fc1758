#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "cc/annotate/annotate.h"

namespace roadmark {
namespace {

constexpr int64_t kHeight = 1080, kWidth = 1920, kBoxes = 20, kCacheLine = 64;
constexpr Style kStyle = {4, 4, 5, 255, 115};

// 20 boxes of street objects on a 1080p frame, with labels of 14 characters in 27-pixel type. Every
// character is the same block.
struct Scene {
  explicit Scene(PixelLayout layout, uint8_t value = 100, bool with_labels = true)
      : canvas{layout, kHeight, kWidth, {}, {0.2126, 0.0722, false}},
        pixels(kHeight * kWidth * 3, value),
        coverage(13 * 20, 128),
        labels(kBoxes, with_labels ? U"vehicle #1 87%" : U"") {
    uint8_t* luma = pixels.data();
    uint8_t* chroma = luma + kHeight * kWidth;
    switch (layout) {
      case PixelLayout::kRgb:
        canvas.planes[0] = {luma, kWidth * 3};
        break;
      case PixelLayout::kI420:
        canvas.planes[0] = {luma, kWidth};
        canvas.planes[1] = {chroma, kWidth / 2};
        canvas.planes[2] = {chroma + kHeight * kWidth / 4, kWidth / 2};
        break;
      case PixelLayout::kNv12:
        canvas.planes[0] = {luma, kWidth};
        canvas.planes[1] = {chroma, kWidth};
        break;
    }
    std::mt19937 random(1);
    std::uniform_real_distribution<float> height(80, 260), ratio(0.6f, 1.8f), share(0, 1);
    for (int64_t i = 0; i < kBoxes; ++i) {
      const float h = height(random), w = h * ratio(random);
      const float y = 30 + share(random) * (kHeight - 30 - h), x = share(random) * (kWidth - w);
      boxes.push_back({y, x, y + h, x + w});
      for (uint8_t c : {86, 180, 233}) colours.push_back(c);
    }
    text_colours.assign(3 * kBoxes, 0);
  }

  void Draw() {
    const Objects objects = {kBoxes,         boxes.data(),
                             colours.data(), text_colours.data(),
                             labels.data(),  masks.empty() ? nullptr : masks.data(),
                             trail.data(),   trail_ends.empty() ? nullptr : trail_ends.data()};
    Annotate(canvas, objects, {&glyph, 1, coverage.data(), 32}, kStyle);
  }

  Canvas canvas;
  std::vector<uint8_t> pixels;
  std::vector<Box> boxes;
  std::vector<uint8_t> colours, text_colours;
  std::vector<uint8_t> coverage, masks;
  Glyph glyph = {0, 1, 5, 13, 20, 15, 0};
  std::vector<std::u32string> labels;
  std::vector<Point> trail;
  std::vector<int64_t> trail_ends;
};

// The cache lines in which drawing changes a byte: no drawing can do with fewer.
std::vector<int64_t> TouchedLines(PixelLayout layout, bool with_labels) {
  Scene dark(layout, 0, with_labels), light(layout, 255, with_labels);
  dark.Draw();
  light.Draw();
  std::vector<int64_t> lines;
  for (size_t k = 0; k < dark.pixels.size(); ++k) {
    const auto line = static_cast<int64_t>(k) / kCacheLine;
    const bool is_changed = dark.pixels[k] != 0 || light.pixels[k] != 255;
    if (is_changed && (lines.empty() || lines.back() != line)) lines.push_back(line);
  }
  return lines;
}

void BM_Annotate(benchmark::State& state, PixelLayout layout, bool with_labels) {
  Scene scene(layout, 100, with_labels);
  for (auto _ : state) {
    scene.Draw();
    benchmark::ClobberMemory();
  }
}

// One byte read and written per such line, in the order of memory.
void BM_Floor(benchmark::State& state, PixelLayout layout, bool with_labels) {
  const std::vector<int64_t> lines = TouchedLines(layout, with_labels);
  Scene scene(layout);
  for (auto _ : state) {
    for (int64_t line : lines) ++scene.pixels[line * kCacheLine];
    benchmark::ClobberMemory();
  }
  state.counters["KiB"] = static_cast<double>(lines.size() * kCacheLine) / 1024;
}

void BM_Masks(benchmark::State& state) {
  Scene scene(PixelLayout::kI420);
  scene.masks.assign(kBoxes * kHeight * kWidth, 0);
  for (int64_t i = 0; i < kBoxes; ++i) {
    const Box& box = scene.boxes[i];
    for (auto y = static_cast<int64_t>(box.ymin); y < static_cast<int64_t>(box.ymax); ++y) {
      for (auto x = static_cast<int64_t>(box.xmin); x < static_cast<int64_t>(box.xmax); ++x) {
        scene.masks[(i * kHeight + y) * kWidth + x] = 1;
      }
    }
  }
  for (auto _ : state) {
    scene.Draw();
    benchmark::ClobberMemory();
  }
}

void BM_Trails(benchmark::State& state) {
  Scene scene(PixelLayout::kI420);
  for (const Box& box : scene.boxes) {
    for (int64_t i = 0; i < 30; ++i) {
      const auto step = static_cast<float>(i);
      scene.trail.push_back({box.ymin + 3 * step, box.xmin + 5 * step});
    }
    scene.trail_ends.push_back(static_cast<int64_t>(scene.trail.size()));
  }
  for (auto _ : state) {
    scene.Draw();
    benchmark::ClobberMemory();
  }
}

BENCHMARK_CAPTURE(BM_Annotate, I420, PixelLayout::kI420, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Floor, I420, PixelLayout::kI420, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Annotate, I420BoxesOnly, PixelLayout::kI420, false)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Floor, I420BoxesOnly, PixelLayout::kI420, false)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Annotate, Nv12, PixelLayout::kNv12, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Annotate, Rgb, PixelLayout::kRgb, true)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_Masks)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_Trails)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace roadmark
