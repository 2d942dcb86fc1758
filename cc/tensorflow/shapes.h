// What the ops' shape functions share.
#ifndef ROADMARK_CC_TENSORFLOW_SHAPES_H_
#define ROADMARK_CC_TENSORFLOW_SHAPES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace roadmark {

// Merges the shape of input `index`, as far as it is known, with `sizes`, which then hold what is
// known of either. Where they do not fit: InvalidArgument, naming the input `name`.
absl::Status MergeInput(tensorflow::shape_inference::InferenceContext* context, int index,
                        const std::string& name,
                        const std::vector<tensorflow::shape_inference::DimensionHandle*>& sizes);

// Whether the rank of input `index` is known and is `rank`.
bool HasRank(tensorflow::shape_inference::InferenceContext* context, int index, int rank);

}  // namespace roadmark

#endif  // ROADMARK_CC_TENSORFLOW_SHAPES_H_
