// Suppression among boxes that have one score each, by the matrix of all their overlaps.
#ifndef ROADMARK_CC_NMS_DENSE_CUDA_H_
#define ROADMARK_CC_NMS_DENSE_CUDA_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "cc/box.h"
#include "cc/cuda/launch.h"
#include "cc/nms/nms.h"
#include "cc/nms/nms_cuda.h"

namespace roadmark {
namespace cuda {

// The matrix of so many boxes has 128 MiB, one bit a pair.
constexpr int64_t kMostDenseBoxes = 32768;

// Arguments as for Nms(), hard suppression only; count is 1 up to kMostDenseBoxes. Takes what it
// needs from `workspace`.
struct DenseBuffers {
  unsigned long long* keys;  // [count], in the boxes' order
  uint32_t* ranks;           // [count]
  float4* corners;           // [count], best first, like all that follow
  float* areas;
  int32_t *indices, *classes;
  unsigned long long* overlaps;  // [count, words]: bit j of row i, for j above i
  uint32_t* per_class;           // [num_classes]
  uint32_t* num_candidates;
};
DenseBuffers TakeDenseBuffers(int64_t count, int64_t num_classes, Workspace* workspace);
cudaError_t DenseNms(const Box* boxes, const float* scores, const int32_t* classes, int64_t count,
                     int64_t num_classes, const NmsOptions& options, const DenseBuffers& buffers,
                     const Selections& selections, cudaStream_t stream);

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_DENSE_CUDA_H_
