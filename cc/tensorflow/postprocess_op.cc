// The TensorFlow face of cc/postprocess; roadmark.ops.tensorflow_ops documents it.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
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

// The inputs' order.
enum Input { kLogits, kEncodings, kAnchors, kCounts, kWindows, kMaskLogits };
// The output behind those of DetectionOutputs.
constexpr int kMasks = 5;

absl::Status InferShapes(InferenceContext* context) {
  DimensionHandle batch = context->UnknownDim(), count = context->UnknownDim();
  DimensionHandle columns = context->UnknownDim(), boxes_per_row = context->UnknownDim();
  DimensionHandle four = context->MakeDim(4), two = context->MakeDim(2);
  TF_RETURN_IF_ERROR(MergeInput(context, kLogits, "class_logits", {&batch, &count, &columns}));
  std::vector<DimensionHandle*> encodings = {&batch, &count, &four};
  if (HasRank(context, kEncodings, 4)) encodings.insert(encodings.begin() + 2, &boxes_per_row);
  TF_RETURN_IF_ERROR(MergeInput(context, kEncodings, "box_encodings", encodings));
  std::vector<DimensionHandle*> anchors = {&count, &four};
  if (HasRank(context, kAnchors, 3)) anchors.insert(anchors.begin(), &batch);
  TF_RETURN_IF_ERROR(MergeInput(context, kAnchors, "anchors", anchors));
  TF_RETURN_IF_ERROR(MergeInput(context, kCounts, "counts", {&batch}));
  TF_RETURN_IF_ERROR(MergeInput(context, kWindows, "windows", {&batch, &two}));
  int64_t max_total;
  TF_RETURN_IF_ERROR(context->GetAttr("max_total", &max_total));
  for (int i = 0; kMaskLogits + i < context->num_inputs(); ++i) {
    DimensionHandle per_row = context->UnknownDim(), height = context->UnknownDim();
    DimensionHandle width = context->UnknownDim();
    std::vector<DimensionHandle*> masks = {&batch, &count, &height, &width};
    if (HasRank(context, kMaskLogits + i, 5)) masks.insert(masks.begin() + 2, &per_row);
    TF_RETURN_IF_ERROR(MergeInput(context, kMaskLogits + i, "mask_logits", masks));
    const DimensionHandle limit = context->MakeDim(max_total);
    context->set_output(kMasks + i, context->MakeShape({batch, limit, height, width}));
  }
  return DetectionOutputs::SetShapes(context, batch);
}

REGISTER_OP("RoadmarkPostprocess")
    .Input("class_logits: float")
    .Input("box_encodings: float")
    .Input("anchors: float")
    .Input("counts: int32")
    .Input("windows: float")
    .Input("mask_logits: masks * float")
    .Output("detection_boxes: float")
    .Output("detection_scores: float")
    .Output("detection_classes: int32")
    .Output("detection_indices: int64")
    .Output("num_detections: int32")
    .Output("detection_masks: masks * float")
    .Attr("masks: int >= 0")
    .Attr("scale_factors: list(float) >= 4")
    .Attr("score_converter: {'identity', 'sigmoid', 'softmax'}")
    .Attr("logit_scale: float")
    .Attr("background_column: bool")
    .Attr("class_agnostic: bool")
    .Attr("score_threshold: float")
    .Attr("iou_threshold: float")
    .Attr("max_per_class: int >= 0")
    .Attr("max_total: int >= 0")
    .Attr("soft_nms_sigma: float")
    .SetShapeFn(InferShapes);

ScoreFunction ScoreFunctionNamed(const std::string& name) {
  if (name == "identity") return ScoreFunction::kIdentity;
  return name == "sigmoid" ? ScoreFunction::kSigmoid : ScoreFunction::kSoftmax;
}

// Mask logits [batch, count, per_row, height, width], and where their probabilities go.
struct Masks {
  const float* logits = nullptr;  // Null for none.
  int64_t per_row = 1, height = 0, width = 0;
  float* probabilities = nullptr;  // [batch, max_total, height, width]
  int64_t size() const { return height * width; }
};

class PostprocessOp : public tensorflow::OpKernel {
 public:
  explicit PostprocessOp(OpKernelConstruction* context) : OpKernel(context) {
    std::vector<float> factors;
    std::string converter;
    int masks;
    OP_REQUIRES_OK(context, context->GetAttr("masks", &masks));
    OP_REQUIRES_OK(context, Require(masks <= 1, "mask_logits", masks, "one tensor or none"));
    OP_REQUIRES_OK(context, context->GetAttr("scale_factors", &factors));
    OP_REQUIRES_OK(context, ScalesOf(factors, &options_.box_scales));
    OP_REQUIRES_OK(context, context->GetAttr("score_converter", &converter));
    options_.score_function = ScoreFunctionNamed(converter);
    OP_REQUIRES_OK(context, context->GetAttr("logit_scale", &options_.logit_scale));
    OP_REQUIRES_OK(context, Require(options_.logit_scale > 0 && std::isfinite(options_.logit_scale),
                                    "logit_scale", options_.logit_scale, "above 0"));
    OP_REQUIRES_OK(context, context->GetAttr("background_column", &options_.background_column));
    OP_REQUIRES_OK(context, context->GetAttr("class_agnostic", &options_.class_agnostic));
    OP_REQUIRES_OK(context, ReadNmsOptions(context, &options_.nms));
  }

  void Compute(OpKernelContext* context) override {
    Batch batch;
    OP_REQUIRES_OK(context, ReadBatch(context, &batch));
    OP_REQUIRES_OK(context, CheckCountsAndWindows(batch));
    Masks masks;
    OP_REQUIRES_OK(context, ReadMasks(context, batch, &masks));
    DetectionOutputs outputs;
    OP_REQUIRES_OK(context, outputs.Allocate(context, batch.pictures, options_.nms.max_total));
    const auto work = [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) Detect(batch, i, masks, outputs);
    };
    const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
    tensorflow::Shard(workers.num_threads, workers.workers, batch.pictures,
                      CyclesPerPicture(batch.count * batch.columns), work);
  }

 private:
  // Inputs of a batch of pictures, as RawOutputs has those of one.
  struct Batch {
    const float *class_logits, *box_encodings;
    const Box* anchors;
    const int32_t* counts;
    const float* windows;
    int64_t pictures, count, columns, num_classes, boxes_per_row;
    bool shared_anchors;
  };

  absl::Status ReadBatch(OpKernelContext* context, Batch* batch) const {
    const Tensor &logits = context->input(kLogits), &encodings = context->input(kEncodings);
    const Tensor &anchors = context->input(kAnchors), &counts = context->input(kCounts);
    const Tensor& windows = context->input(kWindows);
    TF_RETURN_IF_ERROR(CheckShape(logits, "class_logits", {kAnySize, kAnySize, kAnySize}));
    const int64_t pictures = logits.dim_size(0), count = logits.dim_size(1);
    const int64_t columns = logits.dim_size(2), num_classes = columns - options_.background_column;
    TF_RETURN_IF_ERROR(Require(num_classes > 0, "class_logits", num_classes,
                               "one class or more besides background"));
    TF_RETURN_IF_ERROR(CheckCandidates(count, columns, "class_logits"));
    const bool has_box_axis = encodings.dims() == 4, shared_anchors = anchors.dims() != 3;
    TF_RETURN_IF_ERROR(CheckShape(encodings, "box_encodings",
                                  has_box_axis ? std::vector<int64_t>{pictures, count, kAnySize, 4}
                                               : std::vector<int64_t>{pictures, count, 4}));
    const int64_t boxes_per_row = has_box_axis ? encodings.dim_size(2) : 1;
    TF_RETURN_IF_ERROR(Require(boxes_per_row == 1 || boxes_per_row == num_classes, "box_encodings",
                               encodings.shape().DebugString(),
                               "one box per row, or one per class"));
    TF_RETURN_IF_ERROR(CheckShape(anchors, "anchors",
                                  shared_anchors ? std::vector<int64_t>{count, 4}
                                                 : std::vector<int64_t>{pictures, count, 4}));
    TF_RETURN_IF_ERROR(CheckShape(counts, "counts", {pictures}));
    TF_RETURN_IF_ERROR(CheckShape(windows, "windows", {pictures, 2}));
    *batch = {logits.flat<float>().data(),
              encodings.flat<float>().data(),
              BoxesOf(anchors),
              counts.flat<int32_t>().data(),
              windows.flat<float>().data(),
              pictures,
              count,
              columns,
              num_classes,
              boxes_per_row,
              shared_anchors};
    return absl::OkStatus();
  }

  static absl::Status CheckCountsAndWindows(const Batch& batch) {
    for (int64_t i = 0; i < batch.pictures; ++i) {
      const int32_t count = batch.counts[i];
      TF_RETURN_IF_ERROR(
          Require(count >= 0 && count <= batch.count, "counts", count, "0 to the number of rows"));
      const float height = batch.windows[2 * i], width = batch.windows[2 * i + 1];
      TF_RETURN_IF_ERROR(Require(height > 0 && width > 0, "windows",
                                 absl::StrCat("(", height, ", ", width, ")"),
                                 "a height and width above 0"));
    }
    return absl::OkStatus();
  }

  absl::Status ReadMasks(OpKernelContext* context, const Batch& batch, Masks* masks) const {
    if (context->num_inputs() <= kMaskLogits) return absl::OkStatus();
    const Tensor& logits = context->input(kMaskLogits);
    const bool has_mask_axis = logits.dims() == 5;
    std::vector<int64_t> shape = {batch.pictures, batch.count, kAnySize, kAnySize};
    if (has_mask_axis) shape.push_back(kAnySize);
    TF_RETURN_IF_ERROR(CheckShape(logits, "mask_logits", shape));
    masks->per_row = has_mask_axis ? logits.dim_size(2) : 1;
    TF_RETURN_IF_ERROR(Require(masks->per_row == 1 || masks->per_row == batch.num_classes,
                               "mask_logits", logits.shape().DebugString(),
                               "one mask per row, or one per class"));
    masks->logits = logits.flat<float>().data();
    masks->height = logits.dim_size(logits.dims() - 2);
    masks->width = logits.dim_size(logits.dims() - 1);
    return AllocateOutput(context, kMasks,
                          {batch.pictures, options_.nms.max_total, masks->height, masks->width},
                          &masks->probabilities);
  }

  void Detect(const Batch& batch, int64_t picture, const Masks& masks,
              const DetectionOutputs& outputs) const {
    const int64_t row = picture * batch.count;
    const RawOutputs raw = {batch.class_logits + row * batch.columns,
                            batch.box_encodings + row * batch.boxes_per_row * 4,
                            batch.anchors + (batch.shared_anchors ? 0 : row),
                            batch.counts[picture],
                            batch.num_classes,
                            batch.boxes_per_row};
    const float* window = batch.windows + 2 * picture;
    const std::vector<Detection> detections = Postprocess(raw, {window[0], window[1]}, options_);
    outputs.Write(picture, detections);
    if (masks.logits == nullptr) return;
    float* probabilities = masks.probabilities + picture * options_.nms.max_total * masks.size();
    SelectMasks(masks.logits + row * masks.per_row * masks.size(), masks.per_row, masks.size(),
                detections, probabilities);
    const auto count = static_cast<int64_t>(detections.size());
    std::fill(probabilities + count * masks.size(),
              probabilities + options_.nms.max_total * masks.size(), 0.0f);
  }

  PostprocessOptions options_ = {};
};

REGISTER_KERNEL_BUILDER(Name("RoadmarkPostprocess").Device(tensorflow::DEVICE_CPU), PostprocessOp);

}  // namespace
}  // namespace roadmark
