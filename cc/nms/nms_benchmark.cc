#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "cc/nms/nms.h"
#include "cc/parallel.h"

namespace roadmark {
namespace {

std::vector<Box> RandomBoxes(int64_t count, std::mt19937* random) {
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<Box> boxes;
  for (int64_t i = 0; i < count; ++i) {
    const float y = uniform(*random), x = uniform(*random);
    boxes.push_back({y, x, y + 0.2f * uniform(*random), x + 0.2f * uniform(*random)});
  }
  return boxes;
}

// Arguments: boxes, classes, limit. Each box has a random class and score.
void BM_Nms(benchmark::State& state) {
  const int64_t count = state.range(0), num_classes = state.range(1);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(0, 1);
  const std::vector<Box> boxes = RandomBoxes(count, &random);
  std::vector<float> scores;
  std::vector<int32_t> classes;
  for (int64_t i = 0; i < count; ++i) {
    scores.push_back(uniform(random));
    classes.push_back(static_cast<int32_t>(random() % num_classes));
  }
  NmsOptions options;
  options.score_threshold = 0.05f;
  options.max_per_class = state.range(2);
  options.max_total = state.range(2);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        Nms(boxes.data(), scores.data(), classes.data(), count, num_classes, options));
  }
}
BENCHMARK(BM_Nms)
    ->ArgNames({"boxes", "classes", "limit"})
    ->ArgsProduct({{1000, 10000}, {1, 80}, {100, 10000}})
    ->Unit(benchmark::kMicrosecond);

// A score per box and class. Arguments: boxes (76,725 is EfficientDet-D1 at 640), classes, how many
// of the best pairs take part (0 for all; EfficientDet takes 5,000), pictures, threads.
void BM_MulticlassNms(benchmark::State& state) {
  const int64_t count = state.range(0), num_classes = state.range(1), pictures = state.range(3);
  std::mt19937 random(1);
  const std::vector<Box> boxes = RandomBoxes(count, &random);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<float> scores(count * num_classes);
  for (float& score : scores) score = uniform(random);
  NmsOptions options;
  options.score_threshold = 1e-8f;
  options.max_per_class = 100;
  options.max_total = 100;
  for (auto _ : state) {
    ParallelFor(pictures, state.range(4), [&](int64_t) {
      benchmark::DoNotOptimize(MulticlassNms(boxes.data(), true, scores.data(), count, num_classes,
                                             state.range(2), options));
    });
  }
}
BENCHMARK(BM_MulticlassNms)
    ->ArgNames({"boxes", "classes", "candidates", "pictures", "threads"})
    ->ArgsProduct({{76725}, {3, 90}, {0, 5000}, {1}, {1}})
    ->ArgsProduct({{10000}, {80}, {0}, {8}, {1, 2}})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace roadmark
