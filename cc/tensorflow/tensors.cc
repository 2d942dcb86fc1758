#include "cc/tensorflow/tensors.h"

#include <cmath>

#include "absl/strings/str_join.h"

namespace roadmark {
namespace {

bool Fits(const tensorflow::Tensor& tensor, const std::vector<int64_t>& shape) {
  if (tensor.dims() != static_cast<int64_t>(shape.size())) return false;
  for (int i = 0; i < tensor.dims(); ++i) {
    if (shape[i] != kAnySize && tensor.dim_size(i) != shape[i]) return false;
  }
  return true;
}

}  // namespace

absl::Status CheckShape(const tensorflow::Tensor& tensor, const std::string& name,
                        const std::vector<int64_t>& shape) {
  if (Fits(tensor, shape)) return absl::OkStatus();
  const auto append = [](std::string* out, int64_t size) {
    absl::StrAppend(out, size == kAnySize ? "any" : absl::StrCat(size));
  };
  return absl::InvalidArgumentError(absl::StrCat(name, ": found the shape ",
                                                 tensor.shape().DebugString(), ", expected [",
                                                 absl::StrJoin(shape, ",", append), "]"));
}

absl::Status CheckNoNan(const tensorflow::Tensor& boxes, const std::string& name) {
  const auto values = boxes.flat<float>();
  // Not ended at the first: this loop vectorises.
  int any = 0;
  for (int64_t i = 0; i < values.size(); ++i) any |= values(i) != values(i);
  if (!any) return absl::OkStatus();
  int64_t first = 0;
  while (!std::isnan(values(first))) ++first;
  const Box& box = BoxesOf(boxes)[first / 4];
  return absl::InvalidArgumentError(absl::StrCat(name, "[", first / 4, "]: found (", box.ymin, ", ",
                                                 box.xmin, ", ", box.ymax, ", ", box.xmax,
                                                 "), expected corners that are numbers"));
}

absl::Status ScalesOf(const std::vector<float>& factors, BoxScales* scales) {
  if (factors.size() != 4) {
    return absl::InvalidArgumentError(
        absl::StrCat("scale_factors: found ", factors.size(), " numbers, expected 4"));
  }
  for (const float factor : factors) {
    if (factor > 0 && std::isfinite(factor)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("scale_factors: found ", factor, ", expected factors above 0"));
  }
  *scales = {factors[0], factors[1], factors[2], factors[3]};
  return absl::OkStatus();
}

}  // namespace roadmark
