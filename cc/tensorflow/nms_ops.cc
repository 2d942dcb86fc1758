// The TensorFlow faces of cc/nms; roadmark.ops.tensorflow_ops documents them.
#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "cc/nms/nms.h"
#include "cc/postprocess/postprocess.h"
#include "cc/tensorflow/detections.h"
#include "cc/tensorflow/shapes.h"
#include "cc/tensorflow/tensors.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/util/work_sharder.h"

namespace roadmark {
namespace {

using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;

absl::Status InferBatchedNms(InferenceContext* context) {
  DimensionHandle count = context->UnknownDim(), four = context->MakeDim(4);
  TF_RETURN_IF_ERROR(MergeInput(context, 1, "scores", {&count}));
  TF_RETURN_IF_ERROR(MergeInput(context, 0, "boxes", {&count, &four}));
  TF_RETURN_IF_ERROR(MergeInput(context, 2, "classes", {&count}));
  const auto kept = context->MakeShape({context->UnknownDim()});
  for (int i = 0; i < 3; ++i) context->set_output(i, kept);
  return absl::OkStatus();
}

REGISTER_OP("RoadmarkBatchedNms")
    .Input("boxes: float")
    .Input("scores: float")
    .Input("classes: int32")
    .Output("kept_indices: int64")
    .Output("kept_classes: int32")
    .Output("kept_scores: float")
    .Attr("score_threshold: float")
    .Attr("iou_threshold: float")
    .Attr("max_per_class: int >= 0")
    .Attr("max_total: int >= 0")
    .Attr("soft_nms_sigma: float")
    .SetShapeFn(InferBatchedNms);

// Each class has a list of kept boxes.
constexpr int32_t kMaxClasses = 1 << 20;

class BatchedNmsOp : public tensorflow::OpKernel {
 public:
  explicit BatchedNmsOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, ReadNmsOptions(context, &options_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &boxes = context->input(0), &scores = context->input(1);
    const Tensor& classes = context->input(2);
    OP_REQUIRES_OK(context, CheckShape(scores, "scores", {kAnySize}));
    const int64_t count = scores.dim_size(0);
    OP_REQUIRES_OK(context, CheckShape(boxes, "boxes", {count, 4}));
    OP_REQUIRES_OK(context, CheckShape(classes, "classes", {count}));
    OP_REQUIRES_OK(context, CheckNoNan(boxes, "boxes"));
    OP_REQUIRES_OK(context, CheckCandidates(count, 1, "scores"));
    const int32_t* class_of = classes.flat<int32_t>().data();
    int32_t first_class = 0, last_class = 0;
    for (int64_t i = 0; i < count; ++i) {
      first_class = std::min(first_class, class_of[i]);
      last_class = std::max(last_class, class_of[i]);
    }
    OP_REQUIRES_OK(context, Require(first_class >= 0, "classes", first_class, "0 or more"));
    OP_REQUIRES_OK(context,
                   Require(last_class < kMaxClasses, "classes", last_class, "less than 2**20"));
    Output(context, Nms(BoxesOf(boxes), scores.flat<float>().data(), class_of, count,
                        last_class + 1, options_));
  }

 private:
  static void Output(OpKernelContext* context, const std::vector<Selection>& selected) {
    const auto count = static_cast<int64_t>(selected.size());
    int64_t* indices;
    int32_t* classes;
    float* scores;
    OP_REQUIRES_OK(context, AllocateOutput(context, 0, {count}, &indices));
    OP_REQUIRES_OK(context, AllocateOutput(context, 1, {count}, &classes));
    OP_REQUIRES_OK(context, AllocateOutput(context, 2, {count}, &scores));
    for (int64_t i = 0; i < count; ++i) {
      indices[i] = selected[i].index;
      classes[i] = static_cast<int32_t>(selected[i].class_index);
      scores[i] = selected[i].score;
    }
  }

  NmsOptions options_;
};

REGISTER_KERNEL_BUILDER(Name("RoadmarkBatchedNms").Device(tensorflow::DEVICE_CPU), BatchedNmsOp);

absl::Status InferBatchMulticlassNms(InferenceContext* context) {
  DimensionHandle batch = context->UnknownDim(), count = context->UnknownDim();
  DimensionHandle num_classes = context->UnknownDim(), four = context->MakeDim(4);
  TF_RETURN_IF_ERROR(MergeInput(context, 1, "scores", {&batch, &count, &num_classes}));
  std::vector<DimensionHandle*> boxes = {&batch, &count, &four};
  if (HasRank(context, 0, 4)) boxes.insert(boxes.begin() + 2, &num_classes);
  TF_RETURN_IF_ERROR(MergeInput(context, 0, "boxes", boxes));
  return DetectionOutputs::SetShapes(context, batch);
}

REGISTER_OP("RoadmarkBatchMulticlassNms")
    .Input("boxes: float")
    .Input("scores: float")
    .Output("detection_boxes: float")
    .Output("detection_scores: float")
    .Output("detection_classes: int32")
    .Output("detection_indices: int64")
    .Output("num_detections: int32")
    .Attr("score_threshold: float")
    .Attr("iou_threshold: float")
    .Attr("max_per_class: int >= 0")
    .Attr("max_total: int >= 0")
    .Attr("class_agnostic: bool")
    .Attr("max_candidates: int >= 0")
    .Attr("soft_nms_sigma: float")
    .SetShapeFn(InferBatchMulticlassNms);

class BatchMulticlassNmsOp : public tensorflow::OpKernel {
 public:
  explicit BatchMulticlassNmsOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, ReadNmsOptions(context, &options_));
    OP_REQUIRES_OK(context, context->GetAttr("class_agnostic", &class_agnostic_));
    OP_REQUIRES_OK(context, context->GetAttr("max_candidates", &max_candidates_));
    OP_REQUIRES_OK(context, Require(!class_agnostic_ || max_candidates_ == 0, "max_candidates",
                                    max_candidates_, "0 when class-agnostic"));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &boxes = context->input(0), &scores = context->input(1);
    OP_REQUIRES_OK(context, CheckShape(scores, "scores", {kAnySize, kAnySize, kAnySize}));
    const int64_t batch = scores.dim_size(0);
    Scored scored = {BoxesOf(boxes), scores.flat<float>().data(), boxes.dims() != 4,
                     scores.dim_size(1), scores.dim_size(2)};
    std::vector<int64_t> boxes_shape = {batch, scored.count, 4};
    if (!scored.shared_boxes) boxes_shape.insert(boxes_shape.begin() + 2, scored.num_classes);
    OP_REQUIRES_OK(context, CheckShape(boxes, "boxes", boxes_shape));
    OP_REQUIRES_OK(context, Require(scored.num_classes > 0, "scores", scored.num_classes,
                                    "one class or more"));
    OP_REQUIRES_OK(context, CheckCandidates(scored.count, scored.num_classes, "scores"));
    OP_REQUIRES_OK(context, CheckNoNan(boxes, "boxes"));
    DetectionOutputs outputs;
    OP_REQUIRES_OK(context, outputs.Allocate(context, batch, options_.max_total));
    const auto work = [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) outputs.Write(i, Detect(scored, i));
    };
    const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
    tensorflow::Shard(workers.num_threads, workers.workers, batch,
                      CyclesPerPicture(scored.count * scored.num_classes), work);
  }

 private:
  // Boxes and scores of a batch of pictures.
  struct Scored {
    const Box* boxes;
    const float* scores;
    bool shared_boxes;
    int64_t count, num_classes;
  };

  std::vector<Detection> Detect(const Scored& batch, int64_t picture) const {
    const int64_t count = batch.count, num_classes = batch.num_classes;
    const int64_t boxes_per_row = batch.shared_boxes ? 1 : num_classes;
    const Box* boxes = batch.boxes + picture * count * boxes_per_row;
    const float* scores = batch.scores + picture * count * num_classes;
    const std::vector<Selection> selected =
        class_agnostic_
            ? ClassAgnosticNms(boxes, batch.shared_boxes, scores, count, num_classes, options_)
            : MulticlassNms(boxes, batch.shared_boxes, scores, count, num_classes, max_candidates_,
                            options_);
    std::vector<Detection> detections;
    detections.reserve(selected.size());
    for (const Selection& one : selected) {
      const int64_t box =
          batch.shared_boxes ? one.index : one.index * num_classes + one.class_index;
      detections.push_back({boxes[box], one.score, one.class_index, one.index});
    }
    return detections;
  }

  NmsOptions options_;
  bool class_agnostic_;
  int64_t max_candidates_;
};

REGISTER_KERNEL_BUILDER(Name("RoadmarkBatchMulticlassNms").Device(tensorflow::DEVICE_CPU),
                        BatchMulticlassNmsOp);

}  // namespace
}  // namespace roadmark
