#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>

#include "cc/postprocess/postprocess.h"
#include "cc/python/arguments.h"
#include "cc/python/bindings.h"

namespace py = pybind11;

namespace roadmark {
namespace {

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

}  // namespace

void BindPostprocess(py::module_& module) {
  using py::arg;
  using py::kw_only;
  module.def("postprocess", &PyPostprocess, arg("class_logits"), arg("box_encodings"),
             arg("anchors"), kw_only(), arg("window"), arg("scale_factors"), arg("score_converter"),
             arg("logit_scale"), arg("background_column"), arg("class_agnostic"),
             arg("score_threshold"), arg("iou_threshold"), arg("max_per_class"), arg("max_total"),
             arg("soft_nms_sigma"));
}

}  // namespace roadmark
