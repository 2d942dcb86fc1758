// Candidates on the GPU: one segment of scores per image and class, read best first.
#ifndef ROADMARK_CC_NMS_CANDIDATES_CUDA_H_
#define ROADMARK_CC_NMS_CANDIDATES_CUDA_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "cc/cuda/launch.h"
#include "cc/nms/candidate.h"

namespace roadmark {
namespace cuda {

// The upper half of a Candidate's key: the lower, the better the score. No candidate has this one.
constexpr uint32_t kNoKey = 0xffffffffu;
// Rows in a chunk, whose best key is known: as many as a warp has lanes.
constexpr int kChunkRows = 32;

ROADMARK_INLINE uint32_t ScoreKey(float score) {
  return static_cast<uint32_t>(Candidate(score, 0).key() >> 32);
}

// Within a segment candidates are ordered by (score key, row), packed like this.
ROADMARK_INLINE uint64_t Pack(uint32_t key, uint32_t low) {
  return static_cast<uint64_t>(key) << 32 | low;
}

// Above every candidate of a segment.
constexpr uint64_t kEndOfCandidates = static_cast<uint64_t>(kNoKey) << 32;

struct Segments {
  uint32_t* keys;        // [images * classes, chunks * kChunkRows]
  uint32_t* chunk_best;  // [images * classes, chunks]
  int64_t images, classes, rows, chunks;
  // The rank of a candidate, which orders equal scores of all classes, is class * rank_stride +
  // row.
  int64_t rank_stride;

  int64_t count() const { return images * classes; }
};

Segments TakeSegments(int64_t images, int64_t classes, int64_t rows, Workspace* workspace);

// Where scores come from. Matrices are [images, rows, columns].
struct ScoreMatrix {
  const float* logits;
  int64_t columns, first_column;
  ScoreConverter converter;
  float multiplier, threshold;
  const int32_t* row_counts;  // [images]: rows from there on are no candidates. Null: all are.
};

// A segment per class.
cudaError_t FillPerClass(const ScoreMatrix& matrix, const Segments& segments, cudaStream_t stream);

// One segment per image: each row's best class, which goes to `best_classes`, [images, rows].
cudaError_t FillBestClass(const ScoreMatrix& matrix, const Segments& segments,
                          int32_t* best_classes, cudaStream_t stream);

// Rows whose class is known, one image; `classes` may be null.
cudaError_t FillGivenClasses(const float* scores, const int32_t* classes, float threshold,
                             const Segments& segments, cudaStream_t stream);

// bounds[image]: the best `max_candidates` of all classes have Pack(key, rank) below it.
cudaError_t BoundCandidates(const Segments& segments, int64_t max_candidates, uint64_t* bounds,
                            cudaStream_t stream);

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_CANDIDATES_CUDA_H_
