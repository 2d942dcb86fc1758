#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "cc/box_coder/box_coder.h"

namespace roadmark {
namespace {

constexpr BoxScales kScales = {10, 10, 5, 5};

std::vector<Box> RandomBoxes(int64_t count) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<Box> boxes;
  for (int64_t i = 0; i < count; ++i) {
    const float y = uniform(random), x = uniform(random);
    boxes.push_back({y, x, y + 0.01f + uniform(random), x + 0.01f + uniform(random)});
  }
  return boxes;
}

void BM_Encode(benchmark::State& state) {
  const std::vector<Box> boxes = RandomBoxes(state.range(0));
  std::vector<float> encodings(4 * boxes.size());
  for (auto _ : state) {
    EncodeFasterRcnn(boxes.data(), boxes.data(), state.range(0), kScales, encodings.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Encode)->Arg(1000)->Arg(76725)->Unit(benchmark::kMicrosecond);

void BM_Decode(benchmark::State& state) {
  const std::vector<Box> anchors = RandomBoxes(state.range(0));
  const std::vector<float> encodings(4 * anchors.size(), 0.5f);
  std::vector<Box> boxes(anchors.size());
  for (auto _ : state) {
    DecodeFasterRcnn(encodings.data(), anchors.data(), state.range(0), kScales, boxes.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Decode)->Arg(1000)->Arg(76725)->Unit(benchmark::kMicrosecond);

// The floor: two arrays are read and one is written, and nothing else.
void BM_ReadAndWrite(benchmark::State& state) {
  const std::vector<Box> boxes = RandomBoxes(state.range(0)), anchors = RandomBoxes(state.range(0));
  std::vector<float> sums(4 * boxes.size());
  const float *left = &boxes[0].ymin, *right = &anchors[0].ymin;
  for (auto _ : state) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] = left[i] + right[i];
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_ReadAndWrite)->Arg(1000)->Arg(76725)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace roadmark
