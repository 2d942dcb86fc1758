#include <benchmark/benchmark.h>

#include <vector>

#include "cc/preprocess/preprocess.h"

namespace roadmark {
namespace {

// Arguments: height and width of the picture.
void BM_PreprocessTo640(benchmark::State& state) {
  const std::vector<uint8_t> pixels(state.range(0) * state.range(1) * 3, 100);
  const Picture picture = {pixels.data(), state.range(0), state.range(1)};
  const InputFormat format = {640,       640,      640, 640, {123.68f, 116.779f, 103.939f},
                              {1, 1, 1}, {0, 0, 0}};
  std::vector<float> out(640 * 640 * 3);
  for (auto _ : state) {
    Preprocess(picture, format, out.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_PreprocessTo640)->Args({720, 1280})->Args({1080, 1920})->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace roadmark
