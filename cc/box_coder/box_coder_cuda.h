// Box encodings on the GPU: the results of cc/box_coder/box_coder.h, bit for bit.
//
// Arguments are as there, with pointers to the current device's memory, the caller's. Functions put
// one kernel on `stream` and return its launch's result.
#ifndef ROADMARK_CC_BOX_CODER_BOX_CODER_CUDA_H_
#define ROADMARK_CC_BOX_CODER_BOX_CODER_CUDA_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "cc/box.h"
#include "cc/box_coder/box_coder.h"

namespace roadmark {
namespace cuda {

cudaError_t EncodeFasterRcnn(const Box* boxes, const Box* anchors, int64_t count,
                             const BoxScales& scales, float* encodings, cudaStream_t stream);
cudaError_t DecodeFasterRcnn(const float* encodings, const Box* anchors, int64_t count,
                             const BoxScales& scales, Box* boxes, cudaStream_t stream);

cudaError_t EncodeKeypoints(const Box* boxes, const float* keypoints, const Box* anchors,
                            int64_t count, int64_t num_keypoints, const BoxScales& scales,
                            float* encodings, cudaStream_t stream);
cudaError_t DecodeKeypoints(const float* encodings, const Box* anchors, int64_t count,
                            int64_t num_keypoints, const BoxScales& scales, Box* boxes,
                            float* keypoints, cudaStream_t stream);

cudaError_t EncodeSquare(const Box* boxes, const Box* anchors, int64_t count,
                         const BoxScales& scales, float* encodings, cudaStream_t stream);
cudaError_t DecodeSquare(const float* encodings, const Box* anchors, int64_t count,
                         const BoxScales& scales, Box* boxes, cudaStream_t stream);

cudaError_t EncodeMeanStddev(const Box* boxes, const Box* anchors, int64_t count, float stddev,
                             float* encodings, cudaStream_t stream);
cudaError_t DecodeMeanStddev(const float* encodings, const Box* anchors, int64_t count,
                             float stddev, Box* boxes, cudaStream_t stream);

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_BOX_CODER_BOX_CODER_CUDA_H_
