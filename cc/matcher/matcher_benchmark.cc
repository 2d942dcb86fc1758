#include <benchmark/benchmark.h>

#include <cmath>
#include <random>
#include <vector>

#include "cc/matcher/matcher.h"

namespace roadmark {
namespace {

constexpr int64_t kBatch = 8;

// EfficientDet-D1's at 640 x 640: 76,725.
std::vector<Box> GridAnchors() {
  std::vector<Box> anchors;
  for (int stride = 8; stride <= 128; stride *= 2) {
    for (int y = 0; y < 640; y += stride) {
      for (int x = 0; x < 640; x += stride) {
        for (const float octave : {1.0f, 1.2599210f, 1.5874011f}) {
          for (const float aspect : {1.0f, 2.0f, 0.5f}) {
            const float side = 4.0f * static_cast<float>(stride) * octave / 640.0f;
            const float height = side / std::sqrt(aspect), width = side * std::sqrt(aspect);
            const float cy = static_cast<float>(y) / 640.0f, cx = static_cast<float>(x) / 640.0f;
            anchors.push_back({cy - height / 2, cx - width / 2, cy + height / 2, cx + width / 2});
          }
        }
      }
    }
  }
  return anchors;
}

// Like street scenes': many small ones.
std::vector<Box> RandomBoxes(int seed, int64_t count) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<Box> boxes;
  for (int64_t i = 0; i < count; ++i) {
    const float height = 0.015f * std::exp(3.0f * uniform(random));
    const float width = height * std::exp(2.0f * uniform(random) - 1.0f);
    const float y = (1 - height) * uniform(random), x = (1 - width) * uniform(random);
    boxes.push_back({y, x, y + height, x + width});
  }
  return boxes;
}

struct Batch {
  std::vector<std::vector<Box>> boxes;
  std::vector<float> labels, weights;
  std::vector<Groundtruth> images;
};

Batch MakeBatch(int64_t slots, int64_t real, int64_t num_classes) {
  Batch batch;
  batch.labels.assign(slots * num_classes, 0.0f);
  batch.weights.assign(slots, 0.0f);
  std::fill_n(batch.weights.begin(), real, 1.0f);
  for (int64_t i = 0; i < real; ++i) batch.labels[i * num_classes + i % num_classes] = 1.0f;
  for (int i = 0; i < kBatch; ++i) {
    batch.boxes.push_back(RandomBoxes(i, real));
    batch.boxes.back().resize(slots, {0, 0, 0, 0});
  }
  for (const auto& boxes : batch.boxes) {
    batch.images.push_back({boxes.data(), batch.labels.data(), batch.weights.data(), slots});
  }
  return batch;
}

// Arguments: slots for boxes, boxes in them, classes, threads.
void BM_AssignTargets(benchmark::State& state) {
  const int64_t num_classes = state.range(2);
  const std::vector<Box> anchors = GridAnchors();
  const auto count = static_cast<int64_t>(anchors.size());
  const AnchorIndex index(anchors.data(), count);
  const Batch batch = MakeBatch(state.range(0), state.range(1), num_classes);
  const std::vector<float> background(num_classes);
  const TargetOptions options = {
      {0.5f, 0.5f, true, true}, {1, 1, 1, 1}, 1.0f, num_classes, background.data()};
  std::vector<float> class_targets(kBatch * count * num_classes), class_weights(kBatch * count);
  std::vector<float> box_targets(kBatch * count * 4), box_weights(kBatch * count);
  std::vector<int32_t> matches(kBatch * count);
  const Targets targets = {class_targets.data(), class_weights.data(), box_targets.data(),
                           box_weights.data(), matches.data()};
  for (auto _ : state) {
    AssignTargets(index, options, batch.images, static_cast<int>(state.range(3)), targets);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_AssignTargets)
    ->ArgNames({"slots", "boxes", "classes", "threads"})
    ->ArgsProduct({{100}, {0, 20, 100}, {3, 90}, {1, 2}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// The floor: memory for the same outputs, written once.
void BM_FillTargets(benchmark::State& state) {
  std::vector<float> out(kBatch * 76725 * (state.range(0) + 7));
  for (auto _ : state) {
    std::fill(out.begin(), out.end(), 0.0f);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_FillTargets)->ArgName("classes")->Arg(3)->Arg(90)->Unit(benchmark::kMillisecond);

void BM_MakeAnchorIndex(benchmark::State& state) {
  const std::vector<Box> anchors = GridAnchors();
  for (auto _ : state) {
    const AnchorIndex index(anchors.data(), static_cast<int64_t>(anchors.size()));
    benchmark::DoNotOptimize(index.blocks().data());
  }
}
BENCHMARK(BM_MakeAnchorIndex)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace roadmark
