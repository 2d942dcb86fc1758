#include "cc/tensorflow/shapes.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace roadmark {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

absl::Status MergeInput(InferenceContext* context, int index, const std::string& name,
                        const std::vector<DimensionHandle*>& sizes) {
  const ShapeHandle shape = context->input(index);
  if (!context->RankKnown(shape)) return absl::OkStatus();
  bool fits = context->Rank(shape) == static_cast<int>(sizes.size());
  std::vector<DimensionHandle> merged(sizes.size());
  for (int i = 0; fits && i < context->Rank(shape); ++i) {
    fits = context->Merge(*sizes[i], context->Dim(shape, i), &merged[i]).ok();
  }
  if (!fits) {
    const auto append = [&](std::string* out, const DimensionHandle* size) {
      absl::StrAppend(out, context->DebugString(*size));
    };
    return absl::InvalidArgumentError(absl::StrCat(name, ": found the shape ",
                                                   context->DebugString(shape), ", expected [",
                                                   absl::StrJoin(sizes, ",", append), "]"));
  }
  for (size_t i = 0; i < sizes.size(); ++i) *sizes[i] = merged[i];
  return absl::OkStatus();
}

bool HasRank(InferenceContext* context, int index, int rank) {
  const ShapeHandle shape = context->input(index);
  return context->RankKnown(shape) && context->Rank(shape) == rank;
}

}  // namespace roadmark
