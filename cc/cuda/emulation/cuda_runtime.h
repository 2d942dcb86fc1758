// Stands in for CUDA's header where kernels are compiled for the host, to test their logic without
// a GPU: what the .cu files here use of the language, and no more.
//
// The threads of a block take turns on one thread of the host, each for as long as it need not wait
// for others, in an order that changes from turn to turn; blocks run one after the other. Results
// that depend on the order come out different. Speed, memory models and what a GPU's compiler does
// to floating point are not shown.
#ifndef ROADMARK_CC_CUDA_EMULATION_CUDA_RUNTIME_H_
#define ROADMARK_CC_CUDA_EMULATION_CUDA_RUNTIME_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#pragma GCC diagnostic ignored "-Wunknown-pragmas"  // `unroll` is for nvcc.

#define ROADMARK_CUDA_EMULATION
#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
// One block runs at a time; it finds what the one before has left, as good as nothing.
#define __shared__ static

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_size = 1, unsigned y_size = 1, unsigned z_size = 1)
      : x(x_size), y(y_size), z(z_size) {}
};

struct float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1 };
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t) {
  std::memset(data, value, bytes);
  return cudaSuccess;
}

namespace roadmark {
namespace cuda {
namespace emulation {

// Runs `body` for every thread of every block. Aborts when all threads wait for one another.
void Run(dim3 grid, int threads, const std::function<void()>& body);

dim3 ThreadIndex();
dim3 BlockIndex();
dim3 GridSize();

// These return when all threads of the block or warp that have not ended have called them.
void WaitForBlock();
void WaitForWarp();
// What lane `lane` of the warp has given.
uint64_t Exchange(uint64_t value, unsigned lane);
// A bit of each lane of the warp.
unsigned Ballot(bool value);
bool AnyOfBlock(bool value);

unsigned Lane();

template <typename T>
T ExchangeAs(T value, unsigned lane) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "registers are exchanged");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = Exchange(bits, lane);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace emulation

// As in cc/cuda/launch.h.
template <typename... Parameters, typename... Arguments>
cudaError_t Launch(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t,
                   Arguments... arguments) {
  emulation::Run(grid, threads, [&] { kernel(static_cast<Parameters>(arguments)...); });
  return cudaSuccess;
}

}  // namespace cuda
}  // namespace roadmark

#define threadIdx (::roadmark::cuda::emulation::ThreadIndex())
#define blockIdx (::roadmark::cuda::emulation::BlockIndex())
#define gridDim (::roadmark::cuda::emulation::GridSize())

inline void __syncthreads() { roadmark::cuda::emulation::WaitForBlock(); }
inline void __syncwarp() { roadmark::cuda::emulation::WaitForWarp(); }
inline int __syncthreads_or(int value) { return roadmark::cuda::emulation::AnyOfBlock(value != 0); }

template <typename T>
T __shfl_sync(unsigned, T value, int lane, int width = 32) {
  const unsigned first = roadmark::cuda::emulation::Lane() / width * width;
  return roadmark::cuda::emulation::ExchangeAs(value, first + lane % width);
}
template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return roadmark::cuda::emulation::ExchangeAs(value, roadmark::cuda::emulation::Lane() ^ mask);
}
template <typename T>
T __shfl_up_sync(unsigned, T value, unsigned delta) {
  const unsigned lane = roadmark::cuda::emulation::Lane();
  return roadmark::cuda::emulation::ExchangeAs(value, lane >= delta ? lane - delta : lane);
}
inline unsigned __ballot_sync(unsigned, int value) {
  return roadmark::cuda::emulation::Ballot(value != 0);
}

inline int __ffs(int value) { return __builtin_ffs(value); }
inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __popcll(unsigned long long value) { return __builtin_popcountll(value); }

template <typename T, typename U>
T atomicAdd(T* target, U value) {
  const T before = *target;
  *target = static_cast<T>(before + value);
  return before;
}
template <typename T, typename U>
T atomicOr(T* target, U value) {
  const T before = *target;
  *target = static_cast<T>(before | value);
  return before;
}
template <typename T, typename U>
T atomicMin(T* target, U value) {
  const T before = *target;
  if (value < before) *target = static_cast<T>(value);
  return before;
}

#endif  // ROADMARK_CC_CUDA_EMULATION_CUDA_RUNTIME_H_
