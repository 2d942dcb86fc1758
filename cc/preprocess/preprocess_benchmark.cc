#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "cc/parallel.h"
#include "cc/preprocess/preprocess.h"

namespace roadmark {
namespace {

InputFormat Format(const benchmark::State& state) {
  return {640,
          640,
          640,
          640,
          {123.68f, 116.779f, 103.939f},
          {1, 1, 1},
          {0, 0, 0},
          static_cast<Layout>(state.range(2)),
          static_cast<ValueType>(state.range(3))};
}

void BM_PreprocessTo640(benchmark::State& state) {
  const int64_t height = state.range(0), width = state.range(1);
  const std::vector<uint8_t> pixels(height * width * 3, 100);
  const Picture picture = {pixels.data(), height, width, 3 * width};
  const InputFormat format = Format(state);
  std::vector<float> out(640 * 640 * 3);
  for (auto _ : state) {
    Preprocess(picture, format, out.data());
    benchmark::ClobberMemory();
  }
}

void BM_PreprocessI420To640(benchmark::State& state) {
  const int64_t height = state.range(0), width = state.range(1);
  const std::vector<uint8_t> y(height * width, 100), chroma(height * width / 4, 90);
  const YuvPicture picture = {y.data(), chroma.data(), chroma.data(), height, width,
                              width,    width / 2,     width / 2,     1,      ColourMatrix::kBt709,
                              false};
  const InputFormat format = Format(state);
  std::vector<float> out(640 * 640 * 3);
  for (auto _ : state) {
    Preprocess(picture, format, out.data());
    benchmark::ClobberMemory();
  }
}

// Eight pictures of 1280 x 720, shared by threads.
void BM_PreprocessBatchTo640(benchmark::State& state) {
  const std::vector<uint8_t> pixels(720 * 1280 * 3, 100);
  const Picture picture = {pixels.data(), 720, 1280, 3 * 1280};
  const InputFormat format = {640, 640, 640, 640, {127.5f, 127.5f, 127.5f}, {1, 1, 1}, {0, 0, 0}};
  const int64_t pictures = 8, values = 640 * 640 * 3;
  std::vector<float> out(pictures * values);
  for (auto _ : state) {
    ParallelFor(pictures, state.range(0),
                [&](int64_t i) { Preprocess(picture, format, out.data() + i * values); });
    benchmark::ClobberMemory();
  }
}

// The floor: the picture is read and the input written, and nothing else.
void BM_ReadAndWrite(benchmark::State& state) {
  const std::vector<uint8_t> pixels(state.range(0) * state.range(1) * 3, 100);
  std::vector<float> out(640 * 640 * 3);
  for (auto _ : state) {
    uint64_t sum = 0;
    for (uint8_t pixel : pixels) sum += pixel;
    benchmark::DoNotOptimize(sum);
    std::memset(out.data(), static_cast<int>(sum), out.size() * sizeof(float));
    benchmark::ClobberMemory();
  }
}

BENCHMARK(BM_PreprocessTo640)
    ->ArgNames({"height", "width", "planar", "type"})
    ->ArgsProduct({{720}, {1280}, {0, 1}, {0, 1, 2}})
    ->Args({1080, 1920, 0, 0})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_PreprocessI420To640)
    ->ArgNames({"height", "width", "planar", "type"})
    ->Args({720, 1280, 0, 0})
    ->Args({1080, 1920, 0, 0})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_PreprocessBatchTo640)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_ReadAndWrite)->Args({720, 1280})->Args({1080, 1920})->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace roadmark
