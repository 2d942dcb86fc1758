#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "cc/postprocess/paste_masks.h"

namespace roadmark {
namespace {

// Masks as Mask R-CNN's, round, on a 1080p frame; heights of 2.5% to 50% of the picture.
void BM_PasteMasks(benchmark::State& state) {
  constexpr int64_t kRows = 1080, kColumns = 1920, kSamples = 33;
  const int64_t count = state.range(0), threads = state.range(1);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<Box> boxes;
  for (int64_t i = 0; i < count; ++i) {
    const float height = 0.025f * std::pow(20.0f, uniform(random));
    const float y = (1 - height) * uniform(random), x = (1 - height) * uniform(random);
    boxes.push_back({y, x, y + height, x + height});
  }
  std::vector<float> probabilities;
  for (int64_t i = 0; i < count * kSamples * kSamples; ++i) {
    const float y = static_cast<float>(i / kSamples % kSamples) / 16 - 1;
    const float x = static_cast<float>(i % kSamples) / 16 - 1;
    probabilities.push_back(1 / (1 + std::exp(8 * (std::hypot(x, y) - 0.8f))));
  }
  const BoxMasks masks = {probabilities.data(), boxes.data(), count, kSamples, kSamples};
  std::vector<uint8_t> pasted(count * kRows * kColumns);
  for (auto _ : state) {
    PasteMasks(masks, 0.5f, kRows, kColumns, threads, pasted.data());
    benchmark::ClobberMemory();
  }
  // What has to be written at least.
  state.counters["pixels set"] =
      static_cast<double>(std::count(pasted.begin(), pasted.end(), uint8_t{1}));
}
BENCHMARK(BM_PasteMasks)
    ->ArgNames({"masks", "threads"})
    ->ArgsProduct({{20, 100}, {1, 2}})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace roadmark
