// Non-maximum suppression on the GPU: the results of cc/nms/nms.h, bit for bit.
//
// All pointers are to device memory of the current device, the caller's. Functions put their
// kernels on `stream` and return: they neither wait nor allocate nor copy to the host; they may be
// captured in a CUDA graph. `workspace` is aligned to 256 bytes, as large as the function beside
// says, and free again when the stream has got that far. The result is that of the launches; what
// happens while kernels run is reported by later CUDA calls.
//
// A class outside of [0, num_classes) cannot be reported from there: such a box does not count.
#ifndef ROADMARK_CC_NMS_NMS_CUDA_H_
#define ROADMARK_CC_NMS_NMS_CUDA_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "cc/box.h"
#include "cc/nms/nms.h"

namespace roadmark {
namespace cuda {

// [images, max_total] each, best first, and [images]. Beyond its count a row is left as it was.
struct Selections {
  int64_t* indices;
  int32_t* classes;
  float* scores;
  int32_t* counts;
};

// As roadmark::Nms(), of one image.
int64_t NmsWorkspaceBytes(int64_t count, int64_t num_classes, const NmsOptions& options);
cudaError_t Nms(const Box* boxes, const float* scores, const int32_t* classes, int64_t count,
                int64_t num_classes, const NmsOptions& options, void* workspace,
                const Selections& selections, cudaStream_t stream);

struct ScoredBoxes {
  const Box* boxes;  // [images, count, num_classes] or, if shared_boxes, [images, count].
  bool shared_boxes;
  const float* scores;  // [images, count, num_classes]
  int64_t images, count, num_classes;
};

// As roadmark::MulticlassNms() and roadmark::ClassAgnosticNms(), of several images.
int64_t MulticlassNmsWorkspaceBytes(const ScoredBoxes& boxes, bool class_agnostic,
                                    const NmsOptions& options);
cudaError_t MulticlassNms(const ScoredBoxes& boxes, int64_t max_candidates,
                          const NmsOptions& options, void* workspace, const Selections& selections,
                          cudaStream_t stream);
cudaError_t ClassAgnosticNms(const ScoredBoxes& boxes, const NmsOptions& options, void* workspace,
                             const Selections& selections, cudaStream_t stream);

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_NMS_CUDA_H_
