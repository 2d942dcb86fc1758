// Finding the best of many candidates by counting digits, within one thread block.
#ifndef ROADMARK_CC_NMS_SELECTION_CUDA_H_
#define ROADMARK_CC_NMS_SELECTION_CUDA_H_

#include <cstdint>

namespace roadmark {
namespace cuda {

constexpr int kWarpSize = 32;
constexpr unsigned kFullWarp = 0xffffffffu;

constexpr int kDigitBits = 11;
constexpr int kDigits = 1 << kDigitBits;

struct SelectionScratch {
  uint32_t histogram[kDigits];
  uint32_t warp_sums[kWarpSize];
  uint32_t digit, before;
};

// The digit d with before(d) <= budget < before(d) + histogram[d], and before(d), the sum of the
// histogram below it. `budget` is less than the histogram's sum. Called by all threads.
template <int kThreads>
__device__ void FindDigit(uint32_t budget, SelectionScratch& scratch) {
  constexpr int kEach = kDigits / kThreads;
  static_assert(kEach * kThreads == kDigits, "every thread sums as many digits");
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarpSize;
  uint32_t sum = 0;
  for (int i = 0; i < kEach; ++i) sum += scratch.histogram[thread * kEach + i];
  uint32_t inclusive = sum;
  for (int step = 1; step < kWarpSize; step *= 2) {
    const uint32_t lower = __shfl_up_sync(kFullWarp, inclusive, step);
    if (lane >= step) inclusive += lower;
  }
  if (lane == kWarpSize - 1) scratch.warp_sums[thread / kWarpSize] = inclusive;
  __syncthreads();
  uint32_t before = inclusive - sum;
  for (int warp = 0; warp < thread / kWarpSize; ++warp) before += scratch.warp_sums[warp];
  for (int i = 0; i < kEach; ++i) {
    const uint32_t count = scratch.histogram[thread * kEach + i];
    if (before <= budget && budget < before + count) {
      scratch.digit = static_cast<uint32_t>(thread * kEach + i);
      scratch.before = before;
    }
    before += count;
  }
  __syncthreads();
}

// A bound in (from, to], with at most `budget` candidates in [from, bound), and `enough` of them
// unless there are fewer in [from, to). More than `budget` are in [from, to); 1 <= enough <=
// budget. for_each(from, to, f) calls f(candidate) for every 64-bit candidate in [from, to), each
// by one thread of the block. Called by all threads, which all get the result.
template <int kThreads, typename ForEach>
__device__ uint64_t SelectBound(const ForEach& for_each, uint64_t from, uint64_t to,
                                uint32_t budget, uint32_t enough, SelectionScratch& scratch) {
  uint64_t begin = from, end = to;
  uint32_t taken = 0;
  // 64 bits are five digits of 11 bits and one of 9.
  for (int shift = 64 - kDigitBits;; shift = shift > kDigitBits ? shift - kDigitBits : 0) {
    for (int i = static_cast<int>(threadIdx.x); i < kDigits; i += kThreads) {
      scratch.histogram[i] = 0;
    }
    __syncthreads();
    for_each(begin, end, [&](uint64_t candidate) {
      atomicAdd(&scratch.histogram[candidate >> shift & (kDigits - 1)], 1u);
    });
    __syncthreads();
    FindDigit<kThreads>(budget - taken, scratch);
    taken += scratch.before;
    // What is above the digit is the same in `begin` and in all candidates, from the second on.
    const int above = shift + kDigitBits;
    const uint64_t prefix = above >= 64 ? 0 : begin >> above << above;
    const uint64_t bound = prefix | static_cast<uint64_t>(scratch.digit) << shift;
    __syncthreads();
    if (taken >= enough || shift == 0) return bound;
    begin = bound > begin ? bound : begin;
    const uint64_t next = bound + (uint64_t{1} << shift);
    end = next < end ? next : end;
  }
}

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_SELECTION_CUDA_H_
