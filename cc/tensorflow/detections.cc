#include "cc/tensorflow/detections.h"

#include <cmath>
#include <limits>

#include "cc/tensorflow/tensors.h"

namespace roadmark {

using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;

absl::Status ReadNmsOptions(OpKernelConstruction* context, NmsOptions* options) {
  TF_RETURN_IF_ERROR(context->GetAttr("score_threshold", &options->score_threshold));
  TF_RETURN_IF_ERROR(context->GetAttr("iou_threshold", &options->iou_threshold));
  TF_RETURN_IF_ERROR(context->GetAttr("soft_nms_sigma", &options->soft_nms_sigma));
  TF_RETURN_IF_ERROR(context->GetAttr("max_per_class", &options->max_per_class));
  TF_RETURN_IF_ERROR(context->GetAttr("max_total", &options->max_total));
  const float score = options->score_threshold, iou = options->iou_threshold;
  const float sigma = options->soft_nms_sigma;
  TF_RETURN_IF_ERROR(Require(!std::isnan(score), "score_threshold", score, "a number"));
  TF_RETURN_IF_ERROR(Require(iou >= 0 && iou <= 1, "iou_threshold", iou, "0 to 1"));
  TF_RETURN_IF_ERROR(
      Require(sigma >= 0 && std::isfinite(sigma), "soft_nms_sigma", sigma, "0 or more"));
  return Require(sigma == 0 || score >= 0, "score_threshold", score,
                 "0 or more with soft_nms_sigma");
}

absl::Status CheckCandidates(int64_t count, int64_t num_classes, const char* name) {
  constexpr int64_t kLimit = std::numeric_limits<uint32_t>::max();
  return Require(num_classes == 0 || count <= kLimit / num_classes, name, count * num_classes,
                 "fewer than 2**32 scores");
}

absl::Status DetectionOutputs::SetShapes(InferenceContext* context, DimensionHandle batch) {
  int64_t max_total;
  TF_RETURN_IF_ERROR(context->GetAttr("max_total", &max_total));
  const DimensionHandle limit = context->MakeDim(max_total);
  context->set_output(0, context->MakeShape({batch, limit, context->MakeDim(4)}));
  for (int i = 1; i < 4; ++i) context->set_output(i, context->MakeShape({batch, limit}));
  context->set_output(4, context->MakeShape({batch}));
  return absl::OkStatus();
}

absl::Status DetectionOutputs::Allocate(OpKernelContext* context, int64_t batch,
                                        int64_t max_total) {
  max_total_ = max_total;
  float* corners;
  TF_RETURN_IF_ERROR(AllocateOutput(context, 0, {batch, max_total, 4}, &corners));
  boxes_ = reinterpret_cast<Box*>(corners);
  TF_RETURN_IF_ERROR(AllocateOutput(context, 1, {batch, max_total}, &scores_));
  TF_RETURN_IF_ERROR(AllocateOutput(context, 2, {batch, max_total}, &classes_));
  TF_RETURN_IF_ERROR(AllocateOutput(context, 3, {batch, max_total}, &indices_));
  return AllocateOutput(context, 4, {batch}, &counts_);
}

void DetectionOutputs::Write(int64_t picture, const std::vector<Detection>& detections) const {
  const auto count = static_cast<int64_t>(detections.size());
  counts_[picture] = static_cast<int32_t>(count);
  for (int64_t i = 0; i < max_total_; ++i) {
    const Detection detection = i < count ? detections[i] : Detection{};
    const int64_t at = picture * max_total_ + i;
    boxes_[at] = detection.box;
    scores_[at] = detection.score;
    classes_[at] = static_cast<int32_t>(detection.class_index);
    indices_[at] = detection.row;
  }
}

}  // namespace roadmark
