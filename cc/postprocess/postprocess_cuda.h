// From a detector's raw outputs to its final boxes, on the GPU: the results of
// cc/postprocess/postprocess.h, bit for bit, for a batch of images.
//
// Pointers, workspace, stream and errors are as in cc/nms/nms_cuda.h.
#ifndef ROADMARK_CC_POSTPROCESS_POSTPROCESS_CUDA_H_
#define ROADMARK_CC_POSTPROCESS_POSTPROCESS_CUDA_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "cc/box.h"
#include "cc/postprocess/postprocess.h"

namespace roadmark {
namespace cuda {

struct RawBatch {
  const float* class_logits;   // [images, count, num_classes, plus 1 with a background column]
  const float* box_encodings;  // [images, count, boxes_per_row, 4]
  const Box* anchors;          // [count], or [images, count] with anchors_per_image.
  bool anchors_per_image;
  const int32_t* counts;  // [images]: rows from there on do not count. Null: all count.
  const Window* windows;  // [images]
  int64_t images, count, num_classes, boxes_per_row;
  const float* mask_logits;  // [images, count, masks_per_row, mask_size], or null for none.
  int64_t masks_per_row;     // 1, or num_classes.
  int64_t mask_size;
};

// [images, max_total] each, best first, and [images]. Beyond its count a row is left as it was.
struct Detections {
  Box* boxes;
  float* scores;
  int32_t* classes;
  int64_t* rows;
  int32_t* counts;
  float* masks;  // [images, max_total, mask_size], probabilities; only written with mask logits.
};

int64_t PostprocessWorkspaceBytes(const RawBatch& raw, const PostprocessOptions& options);
cudaError_t Postprocess(const RawBatch& raw, const PostprocessOptions& options, void* workspace,
                        const Detections& detections, cudaStream_t stream);

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_POSTPROCESS_POSTPROCESS_CUDA_H_
