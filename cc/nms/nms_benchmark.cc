#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "cc/nms/nms.h"

namespace roadmark {
namespace {

// Arguments: boxes, classes. Each box has a random class and score.
void BM_Nms(benchmark::State& state) {
  const int64_t count = state.range(0), num_classes = state.range(1);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<Box> boxes;
  std::vector<float> scores;
  std::vector<int32_t> classes;
  for (int64_t i = 0; i < count; ++i) {
    const float y = uniform(random), x = uniform(random);
    boxes.push_back({y, x, y + 0.2f * uniform(random), x + 0.2f * uniform(random)});
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

// EfficientDet-D1 at 640: 76,725 anchors, scores of 90 classes.
void BM_MulticlassNms(benchmark::State& state) {
  const int64_t count = 76725, num_classes = state.range(0);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<Box> boxes;
  for (int64_t i = 0; i < count; ++i) {
    const float y = uniform(random), x = uniform(random);
    boxes.push_back({y, x, y + 0.2f * uniform(random), x + 0.2f * uniform(random)});
  }
  std::vector<float> scores(count * num_classes);
  for (float& score : scores) score = uniform(random);
  NmsOptions options;
  options.score_threshold = 1e-8f;
  options.max_per_class = 100;
  options.max_total = 100;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        MulticlassNms(boxes.data(), true, scores.data(), count, num_classes, 0, options));
  }
}
BENCHMARK(BM_MulticlassNms)->ArgName("classes")->Arg(3)->Arg(90)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace roadmark
