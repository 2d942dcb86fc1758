// Pictures to a network's input on the GPU: the bytes of cc/preprocess/preprocess.h.
//
// Arguments are as there, with pointers to the current device's memory, the caller's; `out` is
// aligned to its values. The function puts one kernel on `stream` and returns its launch's result.
#ifndef ROADMARK_CC_PREPROCESS_PREPROCESS_CUDA_H_
#define ROADMARK_CC_PREPROCESS_PREPROCESS_CUDA_H_

#include <cuda_runtime.h>

#include "cc/preprocess/preprocess.h"

namespace roadmark {
namespace cuda {

cudaError_t Preprocess(const Picture& picture, const InputFormat& format, void* out,
                       cudaStream_t stream);
cudaError_t Preprocess(const YuvPicture& picture, const InputFormat& format, void* out,
                       cudaStream_t stream);

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_PREPROCESS_PREPROCESS_CUDA_H_
