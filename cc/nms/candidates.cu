#include <limits>

#include "cc/nms/candidates_cuda.h"
#include "cc/nms/selection_cuda.h"

namespace roadmark {
namespace cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarpSize;
constexpr int kBoundThreads = 1024;
static_assert(kChunkRows == kWarpSize, "a warp reads a chunk");

__device__ uint32_t WarpMinimum(uint32_t value) {
  for (int step = kWarpSize / 2; step > 0; step /= 2) {
    const uint32_t other = __shfl_xor_sync(kFullWarp, value, step);
    value = other < value ? other : value;
  }
  return value;
}

__device__ uint32_t KeyOf(float logit, const ScoreMatrix& matrix) {
  const float score = ConvertScore(logit, matrix.converter, matrix.multiplier);
  return score > matrix.threshold ? ScoreKey(score) : kNoKey;
}

__device__ int64_t RowsOf(const ScoreMatrix& matrix, int64_t image, int64_t rows) {
  if (!matrix.row_counts) return rows;
  const int64_t count = matrix.row_counts[image];
  return count < rows ? count : rows;
}

// A block turns a chunk of rows by 32 classes around: blocks are [chunks, classes / 32, images].
__global__ void __launch_bounds__(kThreads) PerClassKernel(ScoreMatrix matrix, Segments segments) {
  __shared__ uint32_t tile[kChunkRows][kWarpSize + 1];  // One more: no bank is hit twice.
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int64_t chunk = blockIdx.x, image = blockIdx.z;
  const int64_t first_class = static_cast<int64_t>(blockIdx.y) * kWarpSize;
  const int64_t rows = RowsOf(matrix, image, segments.rows);
  for (int i = warp; i < kChunkRows; i += kWarps) {
    const int64_t row = chunk * kChunkRows + i, class_index = first_class + lane;
    uint32_t key = kNoKey;
    if (row < rows && class_index < segments.classes) {
      const int64_t line = image * segments.rows + row;
      key = KeyOf(matrix.logits[line * matrix.columns + matrix.first_column + class_index], matrix);
    }
    tile[i][lane] = key;
  }
  __syncthreads();
  for (int i = warp; i < kWarpSize && first_class + i < segments.classes; i += kWarps) {
    const int64_t segment = image * segments.classes + first_class + i;
    const uint32_t key = tile[lane][i];
    segments.keys[(segment * segments.chunks + chunk) * kChunkRows + lane] = key;
    const uint32_t best = WarpMinimum(key);
    if (lane == 0) segments.chunk_best[segment * segments.chunks + chunk] = best;
  }
}

// A block per chunk, blocks are [chunks, images]; a warp per row.
__global__ void __launch_bounds__(kThreads)
    BestClassKernel(ScoreMatrix matrix, Segments segments, int32_t* best_classes) {
  __shared__ uint32_t keys[kChunkRows];
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int64_t chunk = blockIdx.x, image = blockIdx.y;
  const int64_t rows = RowsOf(matrix, image, segments.rows);
  const int classes = static_cast<int>(matrix.columns - matrix.first_column);
  for (int i = warp; i < kChunkRows; i += kWarps) {
    const int64_t row = chunk * kChunkRows + i;
    uint32_t key = kNoKey;
    if (row < rows) {  // The same for all lanes.
      const int64_t line = image * segments.rows + row;
      const float* logits = matrix.logits + line * matrix.columns + matrix.first_column;
      float best = -std::numeric_limits<float>::infinity();
      for (int c = lane; c < classes; c += kWarpSize) best = logits[c] > best ? logits[c] : best;
      for (int step = kWarpSize / 2; step > 0; step /= 2) {
        const float other = __shfl_xor_sync(kFullWarp, best, step);
        best = other > best ? other : best;
      }
      key = KeyOf(best, matrix);
      // The lowest of the classes with the best score; the last where none has it.
      const float score = ConvertScore(best, matrix.converter, matrix.multiplier);
      uint32_t lowest = static_cast<uint32_t>(classes - 1);
      for (int c = lane; c < classes; c += kWarpSize) {
        if (ConvertScore(logits[c], matrix.converter, matrix.multiplier) >= score) {
          lowest = static_cast<uint32_t>(c);
          break;
        }
      }
      lowest = WarpMinimum(lowest);
      if (lane == 0) best_classes[line] = static_cast<int32_t>(lowest);
    }
    if (lane == 0) keys[i] = key;
  }
  __syncthreads();
  if (warp > 0) return;
  segments.keys[(image * segments.chunks + chunk) * kChunkRows + lane] = keys[lane];
  const uint32_t best = WarpMinimum(keys[lane]);
  if (lane == 0) segments.chunk_best[image * segments.chunks + chunk] = best;
}

// Into keys that are all kNoKey.
__global__ void __launch_bounds__(kThreads)
    GivenClassesKernel(const float* scores, const int32_t* classes, float threshold,
                       Segments segments) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (row >= segments.rows || !(scores[row] > threshold)) return;
  const int64_t class_index = classes ? classes[row] : 0;
  if (class_index < 0 || class_index >= segments.classes) return;
  const uint32_t key = ScoreKey(scores[row]);
  segments.keys[class_index * segments.chunks * kChunkRows + row] = key;
  atomicMin(&segments.chunk_best[class_index * segments.chunks + row / kChunkRows], key);
}

__global__ void __launch_bounds__(kBoundThreads)
    BoundKernel(Segments segments, uint32_t max_candidates, uint64_t* bounds) {
  __shared__ SelectionScratch scratch;
  __shared__ uint32_t count;
  const int64_t image = blockIdx.x, line = segments.chunks * kChunkRows;
  const uint32_t* keys = segments.keys + image * segments.classes * line;
  const auto for_each = [&](uint64_t from, uint64_t to, const auto& f) {
    for (int64_t c = 0; c < segments.classes; ++c) {
      for (int64_t row = threadIdx.x; row < segments.rows; row += kBoundThreads) {
        const uint32_t rank = static_cast<uint32_t>(c * segments.rank_stride + row);
        const uint64_t candidate = Pack(keys[c * line + row], rank);
        if (candidate >= from && candidate < to) f(candidate);
      }
    }
  };
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  uint32_t own = 0;
  for_each(0, kEndOfCandidates, [&](uint64_t) { ++own; });
  atomicAdd(&count, own);
  __syncthreads();
  uint64_t bound = kEndOfCandidates;
  if (count > max_candidates) {
    bound = SelectBound<kBoundThreads>(for_each, 0, kEndOfCandidates, max_candidates,
                                       max_candidates, scratch);
  }
  if (threadIdx.x == 0) bounds[image] = bound;
}

unsigned Blocks(int64_t count) { return static_cast<unsigned>(count); }

}  // namespace

Segments TakeSegments(int64_t images, int64_t classes, int64_t rows, Workspace* workspace) {
  Segments segments = {};
  segments.images = images;
  segments.classes = classes;
  segments.rows = rows;
  segments.chunks = DivideUp(rows, kChunkRows);
  segments.rank_stride = rows;
  segments.keys = workspace->Take<uint32_t>(segments.count() * segments.chunks * kChunkRows);
  segments.chunk_best = workspace->Take<uint32_t>(segments.count() * segments.chunks);
  return segments;
}

cudaError_t FillPerClass(const ScoreMatrix& matrix, const Segments& segments, cudaStream_t stream) {
  const dim3 grid(Blocks(segments.chunks), Blocks(DivideUp(segments.classes, kWarpSize)),
                  Blocks(segments.images));
  return Launch(PerClassKernel, grid, kThreads, stream, matrix, segments);
}

cudaError_t FillBestClass(const ScoreMatrix& matrix, const Segments& segments,
                          int32_t* best_classes, cudaStream_t stream) {
  const dim3 grid(Blocks(segments.chunks), Blocks(segments.images));
  return Launch(BestClassKernel, grid, kThreads, stream, matrix, segments, best_classes);
}

cudaError_t FillGivenClasses(const float* scores, const int32_t* classes, float threshold,
                             const Segments& segments, cudaStream_t stream) {
  const size_t chunks = static_cast<size_t>(segments.count() * segments.chunks);
  ROADMARK_RETURN_IF_ERROR(
      cudaMemsetAsync(segments.keys, 0xff, chunks * kChunkRows * sizeof(uint32_t), stream));
  ROADMARK_RETURN_IF_ERROR(
      cudaMemsetAsync(segments.chunk_best, 0xff, chunks * sizeof(uint32_t), stream));
  const dim3 grid(Blocks(DivideUp(segments.rows, kThreads)));
  return Launch(GivenClassesKernel, grid, kThreads, stream, scores, classes, threshold, segments);
}

cudaError_t BoundCandidates(const Segments& segments, int64_t max_candidates, uint64_t* bounds,
                            cudaStream_t stream) {
  const int64_t most = static_cast<int64_t>(kNoKey);  // There are fewer ranks.
  const uint32_t limit = static_cast<uint32_t>(max_candidates < most ? max_candidates : most);
  return Launch(BoundKernel, dim3(Blocks(segments.images)), kBoundThreads, stream, segments, limit,
                bounds);
}

}  // namespace cuda
}  // namespace roadmark
