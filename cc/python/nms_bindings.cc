#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>

#include "cc/nms/nms.h"
#include "cc/python/arguments.h"
#include "cc/python/bindings.h"

namespace py = pybind11;

namespace roadmark {
namespace {

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

}  // namespace

void BindNms(py::module_& module) {
  using py::arg;
  using py::kw_only;
  module.def("nms", &PyNms, arg("boxes"), arg("scores"), kw_only(), arg("score_threshold"),
             arg("iou_threshold"), arg("max_outputs"), arg("soft_nms_sigma"));
  module.def("batched_nms", &PyBatchedNms, arg("boxes"), arg("scores"), arg("classes"), kw_only(),
             arg("score_threshold"), arg("iou_threshold"), arg("max_per_class"), arg("max_total"),
             arg("soft_nms_sigma"));
  module.def("multiclass_nms", &PyMulticlassNms, arg("boxes"), arg("scores"), kw_only(),
             arg("class_agnostic"), arg("score_threshold"), arg("iou_threshold"),
             arg("max_per_class"), arg("max_total"), arg("max_candidates"), arg("soft_nms_sigma"));
}

}  // namespace roadmark
