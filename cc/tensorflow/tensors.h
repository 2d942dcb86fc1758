// What the kernels share: tensors checked, named in errors, read in place; outputs allocated.
#ifndef ROADMARK_CC_TENSORFLOW_TENSORS_H_
#define ROADMARK_CC_TENSORFLOW_TENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "cc/box.h"
#include "cc/box_coder/box_coder.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/tensor.h"

namespace roadmark {

// Stands for "any size" in an expected shape.
constexpr int64_t kAnySize = -1;

// InvalidArgument, naming the input `name`, unless the tensor's shape fits `shape`.
absl::Status CheckShape(const tensorflow::Tensor& tensor, const std::string& name,
                        const std::vector<int64_t>& shape);

// InvalidArgument unless `condition`: "`name`: found `found`, expected `expected`".
template <typename Value>
absl::Status Require(bool condition, const char* name, const Value& found, const char* expected) {
  if (condition) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ": found ", found, ", expected ", expected));
}

// InvalidArgument, naming the first row of a float tensor [..., 4] with a NaN.
absl::Status CheckNoNan(const tensorflow::Tensor& boxes, const std::string& name);

// Allocates output `index`; `values` is where its elements, of type T, begin.
template <typename T>
absl::Status AllocateOutput(tensorflow::OpKernelContext* context, int index,
                            const std::vector<int64_t>& shape, T** values) {
  // Its constructor would end the process where the sizes' product overflows.
  tensorflow::TensorShape checked;
  TF_RETURN_IF_ERROR(tensorflow::TensorShape::BuildTensorShape(shape, &checked));
  tensorflow::Tensor* tensor;
  TF_RETURN_IF_ERROR(context->allocate_output(index, checked, &tensor));
  *values = tensor->flat<T>().data();
  return absl::OkStatus();
}

// InvalidArgument unless there are four, all finite and above 0.
absl::Status ScalesOf(const std::vector<float>& factors, BoxScales* scales);

// A float tensor whose last dimension is 4.
inline const Box* BoxesOf(const tensorflow::Tensor& tensor) {
  return reinterpret_cast<const Box*>(tensor.flat<float>().data());
}

}  // namespace roadmark

#endif  // ROADMARK_CC_TENSORFLOW_TENSORS_H_
