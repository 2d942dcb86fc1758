// What the ops that suppress boxes share: their options, and detections in tensors of a fixed size.
#ifndef ROADMARK_CC_TENSORFLOW_DETECTIONS_H_
#define ROADMARK_CC_TENSORFLOW_DETECTIONS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "cc/box.h"
#include "cc/nms/nms.h"
#include "cc/postprocess/postprocess.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace roadmark {

// The attributes score_threshold, iou_threshold, soft_nms_sigma, max_per_class and max_total;
// InvalidArgument, naming the one that is out of range. (The limits' range is part of the op.)
absl::Status ReadNmsOptions(tensorflow::OpKernelConstruction* context, NmsOptions* options);

// InvalidArgument where ranks of candidates would need more than 32 bits.
absl::Status CheckCandidates(int64_t count, int64_t num_classes, const char* name);

// What one picture of so many scores costs: reading them, and suppression.
inline int64_t CyclesPerPicture(int64_t scores) { return scores + 50000; }

// The first five outputs: boxes [batch, max_total, 4], scores, classes and indices
// [batch, max_total], and the number of detections [batch]. Behind a picture's detections: zeros.
class DetectionOutputs {
 public:
  static absl::Status SetShapes(tensorflow::shape_inference::InferenceContext* context,
                                tensorflow::shape_inference::DimensionHandle batch);

  absl::Status Allocate(tensorflow::OpKernelContext* context, int64_t batch, int64_t max_total);

  // At most max_total. Several threads may write, each its own pictures.
  void Write(int64_t picture, const std::vector<Detection>& detections) const;

 private:
  int64_t max_total_ = 0;
  Box* boxes_ = nullptr;
  float* scores_ = nullptr;
  int32_t* classes_ = nullptr;
  int64_t* indices_ = nullptr;
  int32_t* counts_ = nullptr;
};

}  // namespace roadmark

#endif  // ROADMARK_CC_TENSORFLOW_DETECTIONS_H_
