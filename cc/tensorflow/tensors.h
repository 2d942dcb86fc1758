// What the kernels share: tensors checked, named in errors, read in place.
#ifndef ROADMARK_CC_TENSORFLOW_TENSORS_H_
#define ROADMARK_CC_TENSORFLOW_TENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cc/box.h"
#include "cc/box_coder/box_coder.h"
#include "tensorflow/core/framework/tensor.h"

namespace roadmark {

// Stands for "any size" in an expected shape.
constexpr int64_t kAnySize = -1;

// InvalidArgument, naming the input `name`, unless the tensor's shape fits `shape`.
absl::Status CheckShape(const tensorflow::Tensor& tensor, const std::string& name,
                        const std::vector<int64_t>& shape);

// InvalidArgument unless there are four, all finite and above 0.
absl::Status ScalesOf(const std::vector<float>& factors, BoxScales* scales);

// A float tensor whose last dimension is 4.
inline const Box* BoxesOf(const tensorflow::Tensor& tensor) {
  return reinterpret_cast<const Box*>(tensor.flat<float>().data());
}

}  // namespace roadmark

#endif  // ROADMARK_CC_TENSORFLOW_TENSORS_H_
