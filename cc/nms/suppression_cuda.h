// Suppression on the GPU: one thread block per segment, then one list per image.
//
// A block reads its segment tier by tier and tile by tile, as cc/nms/suppression.h does: the best
// candidates first, and lower ones only when it gets that far.
//
// Source has
//   Box BoxOf(image, class, row);
//   bool Counts(box, image);   whether a kept box is a result: one that is not still suppresses
// and Writer has
//   void Write(image, position, class, row, score);   on one thread
//   void WriteCount(image, count);
#ifndef ROADMARK_CC_NMS_SUPPRESSION_CUDA_H_
#define ROADMARK_CC_NMS_SUPPRESSION_CUDA_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "cc/box.h"
#include "cc/cuda/launch.h"
#include "cc/nms/candidate.h"
#include "cc/nms/candidates_cuda.h"
#include "cc/nms/nms.h"
#include "cc/nms/overlap.h"
#include "cc/nms/selection_cuda.h"

namespace roadmark {
namespace cuda {

constexpr int kBlockThreads = 512;
constexpr int kBlockWarps = kBlockThreads / kWarpSize;
constexpr int kTile = kBlockThreads;  // A thread has one candidate of a tile.
// Chunks that the first tier is taken from, about, and how much deeper each further tier goes.
constexpr int64_t kFirstTierChunks = 128;
constexpr int64_t kTierGrowth = 8;

// What was kept of each segment, best first.
struct Kept {
  float4* corners;   // [segments, limit]: ymin, xmin, ymax, xmax.
  float* areas;      // [segments, limit]
  uint64_t* keys;    // [segments, result_limit]: Pack(key, rank) of those that are results.
  uint32_t* counts;  // [segments]: results.
  int64_t limit, result_limit;
};

inline Kept TakeKept(const Segments& segments, int64_t limit, int64_t result_limit,
                     Workspace* workspace) {
  Kept kept = {};
  kept.limit = limit < segments.rows ? limit : segments.rows;
  kept.result_limit = result_limit < kept.limit ? result_limit : kept.limit;
  kept.corners = workspace->Take<float4>(segments.count() * kept.limit);
  kept.areas = workspace->Take<float>(segments.count() * kept.limit);
  kept.keys = workspace->Take<uint64_t>(segments.count() * kept.result_limit);
  kept.counts = workspace->Take<uint32_t>(segments.count());
  return kept;
}

// One segment, as its block sees it.
struct Segment {
  const uint32_t* keys;
  const uint32_t* chunk_best;
  int64_t image, class_index, chunks;
  uint32_t first_rank;
  uint64_t end;  // Candidates that count are Pack()ed below it.
};

__device__ inline Segment SegmentOf(const Segments& segments, int64_t index,
                                    const uint64_t* bounds) {
  Segment segment;
  segment.image = index / segments.classes;
  segment.class_index = index % segments.classes;
  segment.chunks = segments.chunks;
  segment.keys = segments.keys + index * segments.chunks * kChunkRows;
  segment.chunk_best = segments.chunk_best + index * segments.chunks;
  segment.first_rank = static_cast<uint32_t>(segment.class_index * segments.rank_stride);
  segment.end = kEndOfCandidates;
  if (bounds) {
    // From a bound of (key, rank) to one of (key, row).
    const uint64_t bound = bounds[segment.image];
    const uint32_t rank = static_cast<uint32_t>(bound);
    segment.end = bound - rank;
    if (rank > segment.first_rank) {
      const uint32_t row = rank - segment.first_rank;
      segment.end += row < segments.rows ? row : static_cast<uint64_t>(segments.rows);
    }
  }
  return segment;
}

// f(candidate) for the candidates in [from, to), Pack()ed with their rows; chunks without any are
// passed over. Called by all threads of a block.
template <typename F>
__device__ void ForEachCandidate(const Segment& segment, uint64_t from, uint64_t to, const F& f) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int64_t warps_first = threadIdx.x - lane;
  for (int64_t first = warps_first; first < segment.chunks; first += kBlockThreads) {
    const bool wanted =
        first + lane < segment.chunks && Pack(segment.chunk_best[first + lane], 0) < to;
    for (unsigned left = __ballot_sync(kFullWarp, wanted); left != 0; left &= left - 1) {
      const int64_t chunk = first + __ffs(static_cast<int>(left)) - 1;
      const uint32_t row = static_cast<uint32_t>(chunk * kChunkRows + lane);
      const uint64_t candidate = Pack(segment.keys[row], row);
      if (candidate >= from && candidate < to) f(candidate);
    }
  }
}

// Where the next tier ends: above `from`, at most at the segment's end.
__device__ inline uint64_t TierEnd(const Segment& segment, uint64_t from, int64_t tier_chunks,
                                   SelectionScratch& scratch) {
  if (tier_chunks >= segment.chunks) return segment.end;
  const auto for_each_chunk = [&](uint64_t begin, uint64_t end, const auto& f) {
    for (int64_t i = threadIdx.x; i < segment.chunks; i += kBlockThreads) {
      const uint64_t best = Pack(segment.chunk_best[i], static_cast<uint32_t>(i));
      if (best >= begin && best < end) f(best);
    }
  };
  // The number of a chunk is below 2^32 - 1, so this is above all; the sum is more than the budget.
  const uint64_t all = ~uint64_t{0};
  const uint32_t budget = static_cast<uint32_t>(tier_chunks);
  const uint64_t bound =
      SelectBound<kBlockThreads>(for_each_chunk, 0, all, budget, budget / 2, scratch);
  // Only the key counts: the low half is a chunk, not a row. From the last key this wraps to 0.
  const uint64_t tier_end = Pack(static_cast<uint32_t>((bound + 0xffffffffu) >> 32), 0);
  return tier_end <= from || tier_end > segment.end ? segment.end : tier_end;
}

struct TileScratch {
  SelectionScratch selection;
  uint64_t unsorted[kTile], sorted[kTile];
  uint32_t count;
  BoxWithArea boxes[kTile];
  uint32_t alive[2][kBlockWarps];
  uint32_t counting[kBlockWarps];
};

// Up to kTile of the best candidates in [from, to), in order, to scratch.sorted; returns how many.
// `to` becomes the end of what they cover.
__device__ inline uint32_t NextTile(const Segment& segment, uint64_t from, uint64_t* to,
                                    TileScratch& scratch) {
  const auto gather = [&] {
    if (threadIdx.x == 0) scratch.count = 0;
    __syncthreads();
    ForEachCandidate(segment, from, *to, [&](uint64_t candidate) {
      const uint32_t slot = atomicAdd(&scratch.count, 1u);
      if (slot < kTile) scratch.unsorted[slot] = candidate;
    });
    __syncthreads();
    const uint32_t count = scratch.count;
    __syncthreads();
    return count;
  };
  uint32_t count = gather();
  if (count > kTile) {
    const auto for_each = [&](uint64_t begin, uint64_t end, const auto& f) {
      ForEachCandidate(segment, begin, end, f);
    };
    *to = SelectBound<kBlockThreads>(for_each, from, *to, kTile, kTile / 4, scratch.selection);
    count = gather();
  }
  if (threadIdx.x < count) {
    const uint64_t own = scratch.unsorted[threadIdx.x];
    uint32_t better = 0;
    for (uint32_t i = 0; i < count; ++i) better += scratch.unsorted[i] < own;
    scratch.sorted[better] = own;
  }
  __syncthreads();
  return count;
}

__device__ inline BoxWithArea LoadKept(const float4* corners, const float* areas, int64_t i) {
  const float4 box = corners[i];
  return {{box.x, box.y, box.z, box.w}, areas[i]};
}

__device__ inline void StoreKept(float4* corners, float* areas, int64_t i,
                                 const BoxWithArea& kept) {
  corners[i] = make_float4(kept.box.ymin, kept.box.xmin, kept.box.ymax, kept.box.xmax);
  areas[i] = kept.area;
}

// A block per segment.
template <typename Source>
__global__ void __launch_bounds__(kBlockThreads)
    SuppressHardKernel(Source source, Segments segments, const uint64_t* bounds,
                       float iou_threshold, Kept kept) {
  __shared__ TileScratch scratch;
  const Segment segment = SegmentOf(segments, blockIdx.x, bounds);
  const uint32_t thread = threadIdx.x, lane = thread % kWarpSize, warp = thread / kWarpSize;
  float4* corners = kept.corners + blockIdx.x * kept.limit;
  float* areas = kept.areas + blockIdx.x * kept.limit;
  uint64_t* result_keys = kept.keys + blockIdx.x * kept.result_limit;
  int64_t num_kept = 0, num_results = 0;
  int64_t tier_chunks = kFirstTierChunks;
  uint64_t from = 0, tier_end = 0;
  bool full = kept.limit <= 0 || kept.result_limit <= 0;
  while (!full && from < segment.end) {
    if (from >= tier_end) {
      tier_end = TierEnd(segment, from, tier_chunks, scratch.selection);
      tier_chunks *= kTierGrowth;
    }
    uint64_t to = tier_end;
    const uint32_t count = NextTile(segment, from, &to, scratch);
    from = to;

    bool alive = thread < count, counts = false;
    BoxWithArea own = Nowhere();
    uint64_t own_candidate = 0;
    if (alive) {
      own_candidate = scratch.sorted[thread];
      const Box box =
          source.BoxOf(segment.image, segment.class_index, static_cast<uint32_t>(own_candidate));
      counts = source.Counts(box, segment.image);
      own = WithArea(box);
      for (int64_t k = 0; alive && k < num_kept; ++k) {
        alive = !(Iou(LoadKept(corners, areas, k), own) > iou_threshold);
      }
    }
    scratch.boxes[thread] = own;
    const unsigned of_warp = __ballot_sync(kFullWarp, alive);
    const unsigned counting = __ballot_sync(kFullWarp, counts);
    if (lane == 0) {
      scratch.alive[0][warp] = of_warp;
      scratch.counting[warp] = counting;
    }
    // The best that is left stays, and suppresses those after it. The words of one turn are read
    // while those of the next are written, so that one barrier a turn is enough.
    for (int turn = 0;; turn ^= 1) {
      __syncthreads();
      int chosen = -1;
      for (int w = 0; w < kBlockWarps && chosen < 0; ++w) {
        const uint32_t word = scratch.alive[turn][w];
        if (word != 0) chosen = w * kWarpSize + __ffs(static_cast<int>(word)) - 1;
      }
      if (chosen < 0) break;
      const bool is_result = scratch.counting[chosen / kWarpSize] >> (chosen % kWarpSize) & 1u;
      const BoxWithArea box = scratch.boxes[chosen];
      if (static_cast<int>(thread) == chosen) {
        StoreKept(corners, areas, num_kept, own);
        if (is_result) {
          result_keys[num_results] = own_candidate + segment.first_rank;
        }
        alive = false;
      }
      alive = alive && !(Iou(box, own) > iou_threshold);
      ++num_kept;
      num_results += is_result;
      full = num_kept >= kept.limit || num_results >= kept.result_limit;
      if (full) break;
      const unsigned still = __ballot_sync(kFullWarp, alive);
      if (lane == 0) scratch.alive[turn ^ 1][warp] = still;
    }
    __syncthreads();
  }
  if (thread == 0) kept.counts[blockIdx.x] = static_cast<uint32_t>(num_results);
}

struct SoftScratch {
  uint64_t warp_best[kBlockWarps];
  float factors[kBlockThreads];
  float score;
};

// A block per segment, whose keys it lowers as scores decay. `compared` has as many entries as
// there are keys: with how many kept boxes each has been compared.
template <typename Source>
__global__ void __launch_bounds__(kBlockThreads)
    SuppressSoftKernel(Source source, Segments segments, const uint64_t* bounds,
                       float score_threshold, float scale, uint32_t* compared, Kept kept) {
  __shared__ SoftScratch scratch;
  const Segment segment = SegmentOf(segments, blockIdx.x, bounds);
  const uint32_t thread = threadIdx.x, lane = thread % kWarpSize, warp = thread / kWarpSize;
  uint32_t* keys = segments.keys + blockIdx.x * segments.chunks * kChunkRows;
  uint32_t* chunk_best = segments.chunk_best + blockIdx.x * segments.chunks;
  compared += blockIdx.x * segments.chunks * kChunkRows;
  float4* corners = kept.corners + blockIdx.x * kept.limit;
  float* areas = kept.areas + blockIdx.x * kept.limit;
  uint64_t* result_keys = kept.keys + blockIdx.x * kept.result_limit;

  // The warp of a chunk sets one of its keys and finds the best again.
  const auto refresh = [&](int64_t chunk, uint32_t key) {
    keys[chunk * kChunkRows + lane] = key;
    uint32_t best = key;
    for (int step = kWarpSize / 2; step > 0; step /= 2) {
      const uint32_t other = __shfl_xor_sync(kFullWarp, best, step);
      best = other < best ? other : best;
    }
    if (lane == 0) chunk_best[chunk] = best;
  };
  for (int64_t chunk = warp; chunk < segments.chunks; chunk += kBlockWarps) {
    const uint32_t row = static_cast<uint32_t>(chunk * kChunkRows + lane);
    const uint32_t key = keys[row];
    compared[row] = 0;
    refresh(chunk, Pack(key, row) < segment.end ? key : kNoKey);
  }

  int64_t num_kept = 0, num_results = 0;
  while (num_kept < kept.limit && num_results < kept.result_limit) {
    __syncthreads();
    // The best chunk: of equal keys the lowest, which has the lowest row.
    uint64_t best = ~uint64_t{0};
    for (int64_t i = thread; i < segments.chunks; i += kBlockThreads) {
      const uint64_t of_chunk = Pack(chunk_best[i], static_cast<uint32_t>(i));
      best = of_chunk < best ? of_chunk : best;
    }
    for (int step = kWarpSize / 2; step > 0; step /= 2) {
      const uint64_t other = __shfl_xor_sync(kFullWarp, best, step);
      best = other < best ? other : best;
    }
    if (lane == 0) scratch.warp_best[warp] = best;
    __syncthreads();
    for (int w = 0; w < kBlockWarps; ++w) {
      best = scratch.warp_best[w] < best ? scratch.warp_best[w] : best;
    }
    const uint32_t key = static_cast<uint32_t>(best >> 32);
    if (key == kNoKey) break;
    const int64_t chunk = static_cast<int64_t>(best & 0xffffffffu);
    const uint32_t lane_key = keys[chunk * kChunkRows + lane];
    const int of_lane = __ffs(static_cast<int>(__ballot_sync(kFullWarp, lane_key == key))) - 1;
    const uint32_t row = static_cast<uint32_t>(chunk * kChunkRows + of_lane);
    const Box box = source.BoxOf(segment.image, segment.class_index, row);
    const BoxWithArea own = WithArea(box);
    const float before = Candidate::FromKey(Pack(key, row)).score();
    const int64_t first = compared[row];
    float score = before;
    // Multiplied newest first, in one order, as on the CPU.
    for (int64_t end = num_kept; end > first && score > score_threshold; end -= kBlockThreads) {
      const int64_t k = end - 1 - thread;
      const float iou = k >= first ? Iou(LoadKept(corners, areas, k), own) : 0.0f;
      scratch.factors[thread] = iou > 0.0f ? Exp(scale * iou * iou) : 1.0f;
      __syncthreads();
      if (thread == 0) {
        const int64_t here = end - first < kBlockThreads ? end - first : kBlockThreads;
        for (int64_t i = 0; i < here && score > score_threshold; ++i) score *= scratch.factors[i];
        scratch.score = score;
      }
      __syncthreads();
      score = scratch.score;
    }
    // All have read `compared` and the keys.
    __syncthreads();
    uint32_t new_key = kNoKey;
    if (score == before) {
      const bool is_result = source.Counts(box, segment.image);
      if (thread == 0) {
        StoreKept(corners, areas, num_kept, own);
        if (is_result) result_keys[num_results] = Pack(key, segment.first_rank + row);
      }
      ++num_kept;
      num_results += is_result;
    } else if (score > score_threshold) {
      new_key = ScoreKey(score);
      if (thread == 0) compared[row] = static_cast<uint32_t>(num_kept);
    }
    if (warp == 0) refresh(chunk, static_cast<int>(lane) == of_lane ? new_key : lane_key);
  }
  if (thread == 0) kept.counts[blockIdx.x] = static_cast<uint32_t>(num_results);
}

constexpr int kMergeThreads = 256;
constexpr int kMergeWarps = kMergeThreads / kWarpSize;

// A warp per kept box of an image counts those before it in the lists of all classes: blocks are
// [classes * result_limit / warps, images].
template <typename Writer>
__global__ void __launch_bounds__(kMergeThreads)
    MergeKernel(Segments segments, Kept kept, int64_t max_total, Writer writer) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int64_t image = blockIdx.y;
  const uint32_t* counts = kept.counts + image * segments.classes;
  if (blockIdx.x == 0) {
    __shared__ unsigned long long total;
    if (threadIdx.x == 0) total = 0;
    __syncthreads();
    unsigned long long own = 0;
    for (int64_t c = threadIdx.x; c < segments.classes; c += kMergeThreads) own += counts[c];
    atomicAdd(&total, own);
    __syncthreads();
    const int64_t all = static_cast<int64_t>(total);
    if (threadIdx.x == 0) writer.WriteCount(image, all < max_total ? all : max_total);
  }
  const int64_t item = static_cast<int64_t>(blockIdx.x) * kMergeWarps + threadIdx.x / kWarpSize;
  const int64_t class_index = item / kept.result_limit, place = item % kept.result_limit;
  if (class_index >= segments.classes || place >= counts[class_index]) return;
  const uint64_t* lists = kept.keys + image * segments.classes * kept.result_limit;
  const uint64_t key = lists[class_index * kept.result_limit + place];
  int64_t position = 0;
  for (int64_t c = lane; c < segments.classes; c += kWarpSize) {
    const uint64_t* list = lists + c * kept.result_limit;
    int64_t low = 0, high = counts[c];
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (list[middle] < key) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    position += low;
  }
  for (int step = kWarpSize / 2; step > 0; step /= 2) {
    position += __shfl_xor_sync(kFullWarp, position, step);
  }
  if (lane != 0 || position >= max_total) return;
  const uint32_t row =
      static_cast<uint32_t>(key) - static_cast<uint32_t>(class_index * segments.rank_stride);
  writer.Write(image, position, class_index, row, Candidate::FromKey(key).score());
}

// Everything after the keys are there. `compared` is null unless soft; `bounds` may be null.
template <typename Source, typename Writer>
cudaError_t SuppressSegments(const Source& source, const Segments& segments, const uint64_t* bounds,
                             const NmsOptions& options, uint32_t* compared, const Kept& kept,
                             const Writer& writer, cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(segments.count()));
  if (options.soft_nms_sigma > 0) {
    const float scale = static_cast<float>(-0.5 / options.soft_nms_sigma);
    ROADMARK_RETURN_IF_ERROR(Launch(SuppressSoftKernel<Source>, blocks, kBlockThreads, stream,
                                    source, segments, bounds, options.score_threshold, scale,
                                    compared, kept));
  } else {
    ROADMARK_RETURN_IF_ERROR(Launch(SuppressHardKernel<Source>, blocks, kBlockThreads, stream,
                                    source, segments, bounds, options.iou_threshold, kept));
  }
  const int64_t items = segments.classes * kept.result_limit;
  const dim3 grid(static_cast<unsigned>(DivideUp(items, kMergeWarps)),
                  static_cast<unsigned>(segments.images));
  return Launch(MergeKernel<Writer>, grid, kMergeThreads, stream, segments, kept, options.max_total,
                writer);
}

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_SUPPRESSION_CUDA_H_
