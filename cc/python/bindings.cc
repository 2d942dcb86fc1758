// The extension module roadmark.ops._native; its documentation is in _native.pyi and roadmark.ops.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "cc/box.h"
#include "cc/box_coder/box_coder.h"
#include "cc/nms/nms.h"
#include "cc/postprocess/postprocess.h"
#include "cc/preprocess/preprocess.h"
#include "cc/python/array.h"

namespace py = pybind11;

namespace roadmark {
namespace {

using Floats = py::array_t<float, py::array::c_style>;

const Box* AsBoxes(const Floats& array) { return reinterpret_cast<const Box*>(array.data()); }

// Ranks of candidates are 32 bits wide.
void RequireCandidates(int64_t count, int64_t num_classes, const char* name) {
  constexpr int64_t kLimit = std::numeric_limits<uint32_t>::max();
  Require(num_classes == 0 || count <= kLimit / num_classes, name, count * num_classes,
          "fewer than 2**32 scores");
}

NmsOptions CheckedNmsOptions(float score_threshold, float iou_threshold, float soft_nms_sigma,
                             int64_t max_per_class, int64_t max_total) {
  Require(!std::isnan(score_threshold), "score_threshold", score_threshold, "a number");
  Require(iou_threshold >= 0 && iou_threshold <= 1, "iou_threshold", iou_threshold, "0 to 1");
  Require(soft_nms_sigma >= 0 && std::isfinite(soft_nms_sigma), "soft_nms_sigma", soft_nms_sigma,
          "0 or more");
  Require(max_per_class >= 0, "max_per_class", max_per_class, "0 or more");
  Require(max_total >= 0, "max_total", max_total, "0 or more");
  return {score_threshold, iou_threshold, soft_nms_sigma, max_per_class, max_total};
}

BoxScales CheckedScales(const std::array<float, 4>& factors) {
  for (float factor : factors) {
    Require(factor > 0 && std::isfinite(factor), "scale_factors", factor, "factors above 0");
  }
  return {factors[0], factors[1], factors[2], factors[3]};
}

py::tuple AsArrays(const std::vector<Selection>& selected) {
  const auto count = static_cast<py::ssize_t>(selected.size());
  py::array_t<int64_t> indices(count);
  py::array_t<int32_t> classes(count);
  py::array_t<float> scores(count);
  for (py::ssize_t i = 0; i < count; ++i) {
    indices.mutable_at(i) = selected[i].index;
    classes.mutable_at(i) = static_cast<int32_t>(selected[i].class_index);
    scores.mutable_at(i) = selected[i].score;
  }
  return py::make_tuple(indices, classes, scores);
}

py::tuple PyNms(py::handle boxes, py::handle scores, float score_threshold, float iou_threshold,
                int64_t max_outputs, float soft_nms_sigma) {
  const Floats scores_array = ReadArray<float>(scores, "scores", {kAny});
  const int64_t count = scores_array.size();
  const Floats boxes_array = ReadArray<float>(boxes, "boxes", {count, 4});
  RequireNoNan(boxes_array, "boxes");
  RequireCandidates(count, 1, "scores");
  Require(max_outputs >= 0, "max_outputs", max_outputs, "0 or more");
  const NmsOptions options =
      CheckedNmsOptions(score_threshold, iou_threshold, soft_nms_sigma, max_outputs, max_outputs);
  std::vector<Selection> selected;
  {
    py::gil_scoped_release release;
    selected = Nms(AsBoxes(boxes_array), scores_array.data(), nullptr, count, 1, options);
  }
  return AsArrays(selected);
}

py::tuple PyBatchedNms(py::handle boxes, py::handle scores, py::handle classes,
                       float score_threshold, float iou_threshold, int64_t max_per_class,
                       int64_t max_total, float soft_nms_sigma) {
  const Floats scores_array = ReadArray<float>(scores, "scores", {kAny});
  const int64_t count = scores_array.size();
  const Floats boxes_array = ReadArray<float>(boxes, "boxes", {count, 4});
  const auto classes_array = ReadArray<int32_t>(classes, "classes", {count});
  RequireNoNan(boxes_array, "boxes");
  RequireCandidates(count, 1, "scores");
  int32_t last_class = 0;
  for (int64_t i = 0; i < count; ++i) {
    Require(classes_array.at(i) >= 0, "classes", classes_array.at(i), "0 or more");
    last_class = std::max(last_class, classes_array.at(i));
  }
  Require(last_class < (1 << 20), "classes", last_class, "less than 2**20");
  const NmsOptions options =
      CheckedNmsOptions(score_threshold, iou_threshold, soft_nms_sigma, max_per_class, max_total);
  std::vector<Selection> selected;
  {
    py::gil_scoped_release release;
    selected = Nms(AsBoxes(boxes_array), scores_array.data(), classes_array.data(), count,
                   last_class + 1, options);
  }
  return AsArrays(selected);
}

py::tuple PyMulticlassNms(py::handle boxes, py::handle scores, bool class_agnostic,
                          float score_threshold, float iou_threshold, int64_t max_per_class,
                          int64_t max_total, int64_t max_candidates, float soft_nms_sigma) {
  const Floats scores_array = ReadArray<float>(scores, "scores", {kAny, kAny});
  const int64_t count = scores_array.shape(0), num_classes = scores_array.shape(1);
  Require(num_classes > 0, "scores", num_classes, "one class or more");
  RequireCandidates(count, num_classes, "scores");
  const bool shared = py::len(py::getattr(boxes, "shape", py::tuple())) != 3;
  const Floats boxes_array = shared ? ReadArray<float>(boxes, "boxes", {count, 4})
                                    : ReadArray<float>(boxes, "boxes", {count, num_classes, 4});
  RequireNoNan(boxes_array, "boxes");
  Require(max_candidates >= 0, "max_candidates", max_candidates, "0 or more");
  Require(!class_agnostic || max_candidates == 0, "max_candidates", max_candidates,
          "0 when class-agnostic");
  const NmsOptions options =
      CheckedNmsOptions(score_threshold, iou_threshold, soft_nms_sigma, max_per_class, max_total);
  std::vector<Selection> selected;
  {
    py::gil_scoped_release release;
    selected = class_agnostic ? ClassAgnosticNms(AsBoxes(boxes_array), shared, scores_array.data(),
                                                 count, num_classes, options)
                              : MulticlassNms(AsBoxes(boxes_array), shared, scores_array.data(),
                                              count, num_classes, max_candidates, options);
  }
  return AsArrays(selected);
}

py::array_t<float> PyEncodeBoxes(py::handle boxes, py::handle anchors,
                                 const std::array<float, 4>& scale_factors) {
  const Floats anchors_array = ReadArray<float>(anchors, "anchors", {kAny, 4});
  const int64_t count = anchors_array.shape(0);
  const Floats boxes_array = ReadArray<float>(boxes, "boxes", {count, 4});
  const BoxScales scales = CheckedScales(scale_factors);
  py::array_t<float> encodings({count, int64_t{4}});
  float* out = encodings.mutable_data();
  py::gil_scoped_release release;
  EncodeFasterRcnn(AsBoxes(boxes_array), AsBoxes(anchors_array), count, scales, out);
  return encodings;
}

py::array_t<float> PyDecodeBoxes(py::handle encodings, py::handle anchors,
                                 const std::array<float, 4>& scale_factors) {
  const Floats anchors_array = ReadArray<float>(anchors, "anchors", {kAny, 4});
  const int64_t count = anchors_array.shape(0);
  const Floats encodings_array = ReadArray<float>(encodings, "encodings", {count, 4});
  const BoxScales scales = CheckedScales(scale_factors);
  py::array_t<float> boxes({count, int64_t{4}});
  Box* out = reinterpret_cast<Box*>(boxes.mutable_data());
  py::gil_scoped_release release;
  DecodeFasterRcnn(encodings_array.data(), AsBoxes(anchors_array), count, scales, out);
  return boxes;
}

ScoreFunction ScoreFunctionNamed(const std::string& name) {
  if (name == "identity") return ScoreFunction::kIdentity;
  if (name == "sigmoid") return ScoreFunction::kSigmoid;
  Require(name == "softmax", "score_converter", name, "identity, sigmoid or softmax");
  return ScoreFunction::kSoftmax;
}

// Boxes, scores, classes and rows of one picture.
py::tuple AsArrays(const std::vector<Detection>& detections) {
  const auto count = static_cast<py::ssize_t>(detections.size());
  py::array_t<float> boxes({count, py::ssize_t{4}});
  py::array_t<float> scores(count);
  py::array_t<int32_t> classes(count);
  py::array_t<int64_t> rows(count);
  Box* box = reinterpret_cast<Box*>(boxes.mutable_data());
  for (py::ssize_t i = 0; i < count; ++i) {
    box[i] = detections[i].box;
    scores.mutable_at(i) = detections[i].score;
    classes.mutable_at(i) = static_cast<int32_t>(detections[i].class_index);
    rows.mutable_at(i) = detections[i].row;
  }
  return py::make_tuple(boxes, scores, classes, rows);
}

py::tuple PyPostprocess(py::handle class_logits, py::handle box_encodings, py::handle anchors,
                        std::pair<float, float> window, const std::array<float, 4>& scale_factors,
                        const std::string& score_converter, float logit_scale,
                        bool background_column, bool class_agnostic, float score_threshold,
                        float iou_threshold, int64_t max_per_class, int64_t max_total,
                        float soft_nms_sigma) {
  const Floats logits = ReadArray<float>(class_logits, "class_logits", {kAny, kAny});
  const int64_t count = logits.shape(0), num_classes = logits.shape(1) - background_column;
  Require(num_classes > 0, "class_logits", num_classes, "one class or more besides background");
  RequireCandidates(count, num_classes + 1, "class_logits");
  const Floats anchors_array = ReadArray<float>(anchors, "anchors", {count, 4});
  const Floats encodings = ReadArray<float>(box_encodings, "box_encodings", {count, kAny, 4});
  const int64_t boxes_per_row = encodings.shape(1);
  Require(boxes_per_row == 1 || boxes_per_row == num_classes, "box_encodings", Describe(encodings),
          "one box per row, or one per class");
  Require(logit_scale > 0 && std::isfinite(logit_scale), "logit_scale", logit_scale, "above 0");
  Require(window.first > 0 && window.second > 0, "window", window, "a height and width above 0");
  const PostprocessOptions options = {
      CheckedScales(scale_factors),
      ScoreFunctionNamed(score_converter),
      logit_scale,
      background_column,
      class_agnostic,
      CheckedNmsOptions(score_threshold, iou_threshold, soft_nms_sigma, max_per_class, max_total)};
  const RawOutputs raw = {logits.data(), encodings.data(), AsBoxes(anchors_array),
                          count,         num_classes,      boxes_per_row};
  std::vector<Detection> detections;
  {
    py::gil_scoped_release release;
    detections = Postprocess(raw, {window.first, window.second}, options);
  }
  return AsArrays(detections);
}

void PyPreprocess(py::handle image, std::pair<int64_t, int64_t> resized,
                  const std::array<float, 3>& mean, const std::array<float, 3>& scale,
                  const std::array<float, 3>& pad_value, py::handle out) {
  const auto pixels = ReadArray<uint8_t>(image, "image", {kAny, kAny, 3});
  auto out_array = WriteArray<float>(out, "out", {kAny, kAny, 3});
  const Picture picture = {pixels.data(), pixels.shape(0), pixels.shape(1)};
  Require(picture.height > 0 && picture.width > 0, "image", Describe(pixels), "no side of 0");
  // Offsets into a row are 32 bits wide.
  Require(picture.width < (1 << 29), "image", Describe(pixels), "a width below 2**29");
  InputFormat format = {
      out_array.shape(0), out_array.shape(1), resized.first, resized.second, {}, {}, {}};
  Require(resized.first >= 1 && resized.first <= format.height && resized.second >= 1 &&
              resized.second <= format.width,
          "resized", resized, "1 to the sides of out");
  std::copy(mean.begin(), mean.end(), format.mean);
  std::copy(scale.begin(), scale.end(), format.scale);
  std::copy(pad_value.begin(), pad_value.end(), format.pad_value);
  float* values = out_array.mutable_data();
  py::gil_scoped_release release;
  Preprocess(picture, format, values);
}

}  // namespace
}  // namespace roadmark

PYBIND11_MODULE(_native, module) {
  using py::arg;
  using py::kw_only;
  module.def("nms", &roadmark::PyNms, arg("boxes"), arg("scores"), kw_only(),
             arg("score_threshold"), arg("iou_threshold"), arg("max_outputs"),
             arg("soft_nms_sigma"));
  module.def("batched_nms", &roadmark::PyBatchedNms, arg("boxes"), arg("scores"), arg("classes"),
             kw_only(), arg("score_threshold"), arg("iou_threshold"), arg("max_per_class"),
             arg("max_total"), arg("soft_nms_sigma"));
  module.def("multiclass_nms", &roadmark::PyMulticlassNms, arg("boxes"), arg("scores"), kw_only(),
             arg("class_agnostic"), arg("score_threshold"), arg("iou_threshold"),
             arg("max_per_class"), arg("max_total"), arg("max_candidates"), arg("soft_nms_sigma"));
  module.def("encode_boxes", &roadmark::PyEncodeBoxes, arg("boxes"), arg("anchors"),
             arg("scale_factors"));
  module.def("decode_boxes", &roadmark::PyDecodeBoxes, arg("encodings"), arg("anchors"),
             arg("scale_factors"));
  module.def("postprocess", &roadmark::PyPostprocess, arg("class_logits"), arg("box_encodings"),
             arg("anchors"), kw_only(), arg("window"), arg("scale_factors"), arg("score_converter"),
             arg("logit_scale"), arg("background_column"), arg("class_agnostic"),
             arg("score_threshold"), arg("iou_threshold"), arg("max_per_class"), arg("max_total"),
             arg("soft_nms_sigma"));
  module.def("preprocess", &roadmark::PyPreprocess, arg("image"), kw_only(), arg("resized"),
             arg("mean"), arg("scale"), arg("pad_value"), arg("out"));
}
