// The TensorFlow face of cc/matcher; roadmark.ops.tensorflow_ops documents it.
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "cc/matcher/matcher.h"
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

absl::Status InferShapes(InferenceContext* context) {
  int batch;
  TF_RETURN_IF_ERROR(context->GetAttr("batch", &batch));
  DimensionHandle count = context->UnknownDim(), num_classes = context->UnknownDim();
  DimensionHandle four = context->MakeDim(4);
  TF_RETURN_IF_ERROR(MergeInput(context, 0, "anchors", {&count, &four}));
  TF_RETURN_IF_ERROR(MergeInput(context, 1, "unmatched_label", {&num_classes}));
  for (int i = 0; i < batch; ++i) {
    const std::string image = absl::StrCat("[", i, "]");
    DimensionHandle boxes = context->UnknownDim();
    TF_RETURN_IF_ERROR(MergeInput(context, 2 + i, "boxes" + image, {&boxes, &four}));
    TF_RETURN_IF_ERROR(
        MergeInput(context, 2 + batch + i, "labels" + image, {&boxes, &num_classes}));
    TF_RETURN_IF_ERROR(MergeInput(context, 2 + 2 * batch + i, "weights" + image, {&boxes}));
  }
  const DimensionHandle images = context->MakeDim(batch);
  context->set_output(0, context->MakeShape({images, count, num_classes}));
  context->set_output(1, context->MakeShape({images, count}));
  context->set_output(2, context->MakeShape({images, count, four}));
  context->set_output(3, context->MakeShape({images, count}));
  context->set_output(4, context->MakeShape({images, count}));
  return absl::OkStatus();
}

REGISTER_OP("RoadmarkAssignTargets")
    .Input("anchors: float")
    .Input("unmatched_label: float")
    .Input("boxes: batch * float")
    .Input("labels: batch * float")
    .Input("weights: batch * float")
    .Output("class_targets: float")
    .Output("class_weights: float")
    .Output("box_targets: float")
    .Output("box_weights: float")
    .Output("matches: int32")
    .Attr("batch: int >= 1")
    .Attr("matched_threshold: float")
    .Attr("unmatched_threshold: float")
    .Attr("negatives_lower_than_unmatched: bool")
    .Attr("force_match_for_each_row: bool")
    .Attr("scale_factors: list(float) >= 4")
    .Attr("negative_class_weight: float")
    .SetShapeFn(InferShapes);

absl::Status CheckCorners(const Tensor& boxes, const std::string& name) {
  const auto values = boxes.flat<float>();
  int64_t good = 0;
  for (int64_t i = 0; i < values.size(); ++i) good += std::fabs(values(i)) <= kLargestCorner;
  if (good == values.size()) return absl::OkStatus();
  int64_t first = 0;
  while (std::fabs(values(first)) <= kLargestCorner) ++first;
  return absl::InvalidArgumentError(absl::StrCat(name, "[", first / 4, "]: found the corner ",
                                                 values(first),
                                                 ", expected numbers between -1e18 and 1e18"));
}

class AssignTargetsOp : public tensorflow::OpKernel {
 public:
  explicit AssignTargetsOp(OpKernelConstruction* context) : OpKernel(context) {
    MatchRules& rules = options_.rules;
    std::vector<float> factors;
    OP_REQUIRES_OK(context, context->GetAttr("batch", &batch_));
    OP_REQUIRES_OK(context, context->GetAttr("matched_threshold", &rules.matched_threshold));
    OP_REQUIRES_OK(context, context->GetAttr("unmatched_threshold", &rules.unmatched_threshold));
    OP_REQUIRES_OK(context, context->GetAttr("negatives_lower_than_unmatched",
                                             &rules.negatives_lower_than_unmatched));
    OP_REQUIRES_OK(context,
                   context->GetAttr("force_match_for_each_row", &rules.force_match_for_each_row));
    OP_REQUIRES_OK(context, context->GetAttr("scale_factors", &factors));
    OP_REQUIRES_OK(context,
                   context->GetAttr("negative_class_weight", &options_.negative_class_weight));
    OP_REQUIRES_OK(context, ScalesOf(factors, &options_.scales));
    OP_REQUIRES(context,
                rules.unmatched_threshold >= 0 && rules.unmatched_threshold <= 1 &&
                    rules.matched_threshold >= rules.unmatched_threshold &&
                    rules.matched_threshold <= 1,
                absl::InvalidArgumentError(
                    absl::StrCat("thresholds: found matched_threshold ", rules.matched_threshold,
                                 " and unmatched_threshold ", rules.unmatched_threshold,
                                 ", expected 0 <= unmatched_threshold <= matched_threshold <= 1")));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &anchors = context->input(0), &label = context->input(1);
    OP_REQUIRES_OK(context, CheckShape(anchors, "anchors", {kAnySize, 4}));
    OP_REQUIRES_OK(context, CheckShape(label, "unmatched_label", {kAnySize}));
    std::vector<Groundtruth> images;
    OP_REQUIRES_OK(context, ReadImages(context, label.dim_size(0), &images));
    std::shared_ptr<const AnchorIndex> index;
    OP_REQUIRES_OK(context, IndexOf(anchors, &index));

    TargetOptions options = options_;
    options.num_classes = label.dim_size(0);
    options.unmatched_label = label.flat<float>().data();
    const int64_t count = anchors.dim_size(0);
    Targets targets;
    OP_REQUIRES_OK(context, Allocate(context, count, options.num_classes, &targets));
    const auto work = [&](int64_t first, int64_t last) {
      TargetAssigner assigner(*index, options);
      for (int64_t i = first; i < last; ++i) {
        assigner.Assign(images[i], TargetsOf(targets, i, count, options.num_classes));
      }
    };
    const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
    // Mostly writing: about two cycles per value.
    tensorflow::Shard(workers.num_threads, workers.workers, batch_,
                      2 * count * (options.num_classes + 7), work);
  }

 private:
  absl::Status ReadImages(OpKernelContext* context, int64_t num_classes,
                          std::vector<Groundtruth>* images) const {
    for (int i = 0; i < batch_; ++i) {
      const Tensor& boxes = context->input(2 + i);
      const Tensor& labels = context->input(2 + batch_ + i);
      const Tensor& weights = context->input(2 + 2 * batch_ + i);
      const std::string image = absl::StrCat("[", i, "]");
      TF_RETURN_IF_ERROR(CheckShape(boxes, "boxes" + image, {kAnySize, 4}));
      const int64_t count = boxes.dim_size(0);
      TF_RETURN_IF_ERROR(CheckShape(labels, "labels" + image, {count, num_classes}));
      TF_RETURN_IF_ERROR(CheckShape(weights, "weights" + image, {count}));
      TF_RETURN_IF_ERROR(CheckCorners(boxes, "boxes" + image));
      images->push_back(
          {BoxesOf(boxes), labels.flat<float>().data(), weights.flat<float>().data(), count});
    }
    return absl::OkStatus();
  }

  // Training sees the same anchors at every step; arranging them takes longer than comparing them.
  absl::Status IndexOf(const Tensor& anchors, std::shared_ptr<const AnchorIndex>* index) {
    const int64_t count = anchors.dim_size(0);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (index_ == nullptr || static_cast<int64_t>(index_->anchors().size()) != count ||
        std::memcmp(index_->anchors().data(), BoxesOf(anchors), count * sizeof(Box)) != 0) {
      TF_RETURN_IF_ERROR(CheckCorners(anchors, "anchors"));
      index_ = std::make_shared<AnchorIndex>(BoxesOf(anchors), count);
    }
    *index = index_;
    return absl::OkStatus();
  }

  absl::Status Allocate(OpKernelContext* context, int64_t count, int64_t num_classes,
                        Targets* targets) const {
    TF_RETURN_IF_ERROR(
        AllocateOutput(context, 0, {batch_, count, num_classes}, &targets->class_targets));
    TF_RETURN_IF_ERROR(AllocateOutput(context, 1, {batch_, count}, &targets->class_weights));
    TF_RETURN_IF_ERROR(AllocateOutput(context, 2, {batch_, count, 4}, &targets->box_targets));
    TF_RETURN_IF_ERROR(AllocateOutput(context, 3, {batch_, count}, &targets->box_weights));
    return AllocateOutput(context, 4, {batch_, count}, &targets->matches);
  }

  int batch_;
  TargetOptions options_ = {};
  std::mutex mutex_;
  std::shared_ptr<const AnchorIndex> index_;
};

REGISTER_KERNEL_BUILDER(Name("RoadmarkAssignTargets").Device(tensorflow::DEVICE_CPU),
                        AssignTargetsOp);

}  // namespace
}  // namespace roadmark
