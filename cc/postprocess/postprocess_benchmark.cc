#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "cc/postprocess/postprocess.h"

namespace roadmark {
namespace {

// EfficientDet-D1 at 640: 76,725 anchors; logits of a trained network's background.
void BM_Postprocess(benchmark::State& state) {
  const int64_t count = 76725, num_classes = state.range(0);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::normal_distribution<float> normal(-6, 1.5f);
  std::vector<Box> anchors;
  for (int64_t i = 0; i < count; ++i) {
    const float y = uniform(random), x = uniform(random);
    anchors.push_back({y, x, y + 0.2f * uniform(random), x + 0.2f * uniform(random)});
  }
  std::vector<float> logits(count * num_classes), encodings(count * 4);
  for (float& logit : logits) logit = normal(random);
  for (float& encoding : encodings) encoding = uniform(random);
  const RawOutputs raw = {logits.data(), encodings.data(), anchors.data(), count, num_classes, 1};
  PostprocessOptions options = {{10, 10, 5, 5}, ScoreFunction::kSigmoid, 1, false, false, {}};
  options.nms = {1e-8f, 0.5f, 0, 100, 100};
  if (state.range(1)) options.nms.score_threshold = 0.3f;
  for (auto _ : state) benchmark::DoNotOptimize(Postprocess(raw, {1, 1}, options));
}
BENCHMARK(BM_Postprocess)
    ->ArgNames({"classes", "high_threshold"})
    ->ArgsProduct({{3, 90}, {0, 1}})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace roadmark
