#include "cc/nms/candidate.h"
#include "cc/nms/dense_cuda.h"
#include "cc/nms/overlap.h"
#include "cc/nms/selection_cuda.h"

namespace roadmark {
namespace cuda {
namespace {

using Word = unsigned long long;

constexpr int kThreads = 256;
constexpr int kRankKeys = 1024;  // Compared with by one block.
constexpr int kWordBits = 64;
constexpr Word kNoCandidate = ~Word{0};
constexpr int kScanThreads = 1024;
constexpr int kScanColumns = 128;
constexpr int kScanSlices = kScanThreads / kScanColumns;
constexpr int kMostWords = static_cast<int>(kMostDenseBoxes / kWordBits);

// Expects num_candidates to be 0.
__global__ void __launch_bounds__(kThreads)
    KeysKernel(const float* scores, const int32_t* classes, int64_t count, int64_t num_classes,
               float threshold, DenseBuffers buffers) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  bool valid = i < count && scores[i] > threshold;
  if (valid && classes) valid = classes[i] >= 0 && classes[i] < num_classes;
  if (i < count) {
    buffers.keys[i] =
        valid ? Word{Candidate(scores[i], static_cast<uint32_t>(i)).key()} : kNoCandidate;
    buffers.ranks[i] = 0;
  }
  const unsigned of_warp = __ballot_sync(kFullWarp, valid);
  if (threadIdx.x % kWarpSize == 0 && of_warp != 0) {
    atomicAdd(buffers.num_candidates, static_cast<uint32_t>(__popc(of_warp)));
  }
}

// The rank of a key is the number of better ones; blocks are [keys / threads, keys / kRankKeys].
__global__ void __launch_bounds__(kThreads) RanksKernel(int64_t count, DenseBuffers buffers) {
  __shared__ Word others[kRankKeys];
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kRankKeys;
  for (int k = static_cast<int>(threadIdx.x); k < kRankKeys; k += kThreads) {
    others[k] = first + k < count ? buffers.keys[first + k] : kNoCandidate;
  }
  __syncthreads();
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const Word own = buffers.keys[i];
  uint32_t better = 0;
#pragma unroll 8
  for (int k = 0; k < kRankKeys; ++k) better += others[k] < own;
  if (own != kNoCandidate && better != 0) atomicAdd(&buffers.ranks[i], better);
}

__global__ void __launch_bounds__(kThreads)
    OrderKernel(const Box* boxes, const int32_t* classes, int64_t count, DenseBuffers buffers) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count || buffers.keys[i] == kNoCandidate) return;
  const uint32_t rank = buffers.ranks[i];
  const BoxWithArea box = WithArea(boxes[i]);
  buffers.corners[rank] = make_float4(box.box.ymin, box.box.xmin, box.box.ymax, box.box.xmax);
  buffers.areas[rank] = box.area;
  buffers.indices[rank] = static_cast<int32_t>(i);
  buffers.classes[rank] = classes ? classes[i] : 0;
}

// A word of a row per thread: blocks are [columns, rows] of words.
__global__ void __launch_bounds__(kWordBits)
    OverlapsKernel(int64_t words, float iou_threshold, DenseBuffers buffers) {
  __shared__ BoxWithArea others[kWordBits];
  __shared__ int32_t other_classes[kWordBits];
  const int64_t column = blockIdx.x, row = blockIdx.y, count = *buffers.num_candidates;
  if (column < row || column * kWordBits >= count || row * kWordBits >= count) return;
  const auto load = [&](int64_t i) {
    const float4 corners = buffers.corners[i];
    return BoxWithArea{{corners.x, corners.y, corners.z, corners.w}, buffers.areas[i]};
  };
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t j = column * kWordBits + thread, i = row * kWordBits + thread;
  others[thread] = j < count ? load(j) : Nowhere();
  other_classes[thread] = j < count ? buffers.classes[j] : -1;
  __syncthreads();
  if (i >= count) return;
  const BoxWithArea own = load(i);
  const int32_t own_class = buffers.classes[i];
  Word word = 0;
  for (int k = column == row ? thread + 1 : 0; k < kWordBits; ++k) {
    // The better one first, as everywhere.
    if (other_classes[k] == own_class && Iou(own, others[k]) > iou_threshold) word |= Word{1} << k;
  }
  buffers.overlaps[i * words + column] = word;
}

// The greedy scan: one block goes down the boxes 64 at a time. The first warp decides which of them
// stay; then all warps drop what those overlap.
__global__ void __launch_bounds__(kScanThreads)
    ScanKernel(int64_t words, int64_t max_per_class, int64_t max_total, bool limit_classes,
               DenseBuffers buffers, Selections selections) {
  __shared__ Word dropped[kMostWords];
  __shared__ Word kept_word;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarpSize;
  const int64_t count = *buffers.num_candidates;
  const int64_t groups = (count + kWordBits - 1) / kWordBits;
  for (int64_t w = thread; w < groups; w += kScanThreads) dropped[w] = 0;
  __syncthreads();
  int64_t total = 0;
  for (int64_t group = 0; group < groups && total < max_total; ++group) {
    const int64_t first = group * kWordBits;
    if (thread < kWarpSize) {
      const auto overlaps_at = [&](int64_t i) {
        return i < count ? buffers.overlaps[i * words + group] : 0;
      };
      const Word low = overlaps_at(first + lane), high = overlaps_at(first + kWarpSize + lane);
      Word gone = dropped[group], keep = 0;
      if (count - first < kWordBits) gone |= ~Word{0} << (count - first);
      int64_t so_far = total;
      for (int b = 0; b < kWordBits && so_far < max_total; ++b) {
        const Word overlapped = __shfl_sync(kFullWarp, b < kWarpSize ? low : high, b % kWarpSize);
        if (gone >> b & 1) continue;  // The same for all lanes.
        if (limit_classes) {
          uint32_t others = 0;
          if (lane == 0) {
            others = atomicAdd(&buffers.per_class[buffers.classes[first + b]], 1u);
          }
          if (__shfl_sync(kFullWarp, others, 0) >= max_per_class) continue;
        }
        keep |= Word{1} << b;
        gone |= overlapped;
        ++so_far;
      }
      for (int b = lane; b < kWordBits; b += kWarpSize) {
        if (!(keep >> b & 1)) continue;
        const int64_t position = total + __popcll(keep & ((Word{1} << b) - 1));
        const int32_t index = buffers.indices[first + b];
        selections.indices[position] = index;
        selections.classes[position] = buffers.classes[first + b];
        selections.scores[position] = Candidate::FromKey(buffers.keys[index]).score();
      }
      if (lane == 0) kept_word = keep;
    }
    __syncthreads();
    const Word keep = kept_word;
    total += __popcll(keep);
    for (int64_t w = group + 1 + thread % kScanColumns; w < groups; w += kScanColumns) {
      Word overlapped = 0;
      for (int b = thread / kScanColumns; b < kWordBits; b += kScanSlices) {
        if (keep >> b & 1) overlapped |= buffers.overlaps[(first + b) * words + w];
      }
      if (overlapped != 0) atomicOr(&dropped[w], overlapped);
    }
    __syncthreads();
  }
  if (thread == 0) *selections.counts = static_cast<int32_t>(total);
}

}  // namespace

DenseBuffers TakeDenseBuffers(int64_t count, int64_t num_classes, Workspace* workspace) {
  DenseBuffers buffers = {};
  buffers.keys = workspace->Take<Word>(count);
  buffers.ranks = workspace->Take<uint32_t>(count);
  buffers.corners = workspace->Take<float4>(count);
  buffers.areas = workspace->Take<float>(count);
  buffers.indices = workspace->Take<int32_t>(count);
  buffers.classes = workspace->Take<int32_t>(count);
  buffers.overlaps = workspace->Take<Word>(count * DivideUp(count, kWordBits));
  buffers.per_class = workspace->Take<uint32_t>(num_classes);
  buffers.num_candidates = workspace->Take<uint32_t>(1);
  return buffers;
}

cudaError_t DenseNms(const Box* boxes, const float* scores, const int32_t* classes, int64_t count,
                     int64_t num_classes, const NmsOptions& options, const DenseBuffers& buffers,
                     const Selections& selections, cudaStream_t stream) {
  ROADMARK_RETURN_IF_ERROR(
      cudaMemsetAsync(buffers.num_candidates, 0, sizeof(*buffers.num_candidates), stream));
  // With one class the limit of a class is one of all; that of one class of several is counted.
  const int64_t most = num_classes == 1 && options.max_per_class < options.max_total
                           ? options.max_per_class
                           : options.max_total;
  const bool limit_classes = num_classes > 1 && options.max_per_class < count;
  if (limit_classes) {
    ROADMARK_RETURN_IF_ERROR(
        cudaMemsetAsync(buffers.per_class, 0,
                        sizeof(*buffers.per_class) * static_cast<size_t>(num_classes), stream));
  }
  const int64_t words = DivideUp(count, kWordBits);
  const auto blocks = static_cast<unsigned>(DivideUp(count, kThreads));
  const auto slices = static_cast<unsigned>(DivideUp(count, kRankKeys));
  const auto side = static_cast<unsigned>(words);
  ROADMARK_RETURN_IF_ERROR(Launch(KeysKernel, dim3(blocks), kThreads, stream, scores, classes,
                                  count, num_classes, options.score_threshold, buffers));
  ROADMARK_RETURN_IF_ERROR(
      Launch(RanksKernel, dim3(blocks, slices), kThreads, stream, count, buffers));
  ROADMARK_RETURN_IF_ERROR(
      Launch(OrderKernel, dim3(blocks), kThreads, stream, boxes, classes, count, buffers));
  ROADMARK_RETURN_IF_ERROR(Launch(OverlapsKernel, dim3(side, side), kWordBits, stream, words,
                                  options.iou_threshold, buffers));
  return Launch(ScanKernel, dim3(1), kScanThreads, stream, words, options.max_per_class, most,
                limit_classes, buffers, selections);
}

}  // namespace cuda
}  // namespace roadmark
