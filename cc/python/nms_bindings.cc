#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "cc/nms/nms.h"
#include "cc/parallel.h"
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
  int32_t first_class = 0, last_class = 0;
  const int32_t* class_of = classes_array.data();
  for (int64_t i = 0; i < count; ++i) {
    first_class = std::min(first_class, class_of[i]);
    last_class = std::max(last_class, class_of[i]);
  }
  Require(first_class >= 0, "classes", first_class, "0 or more");
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

// Boxes and scores of a batch of pictures.
struct Multiclass {
  Floats boxes, scores;
  bool shared_boxes;
  int64_t pictures, count, num_classes;
};

// `batch_shape` is what shapes begin with: {} for one picture, {kAny} for several.
Multiclass CheckedMulticlass(py::handle boxes, py::handle scores,
                             const std::vector<int64_t>& batch_shape) {
  const auto shape = [](std::vector<int64_t> sizes, std::initializer_list<int64_t> more) {
    sizes.insert(sizes.end(), more);
    return sizes;
  };
  const auto batch_axes = static_cast<py::ssize_t>(batch_shape.size());
  const Floats scores_array = ReadArray<float>(scores, "scores", shape(batch_shape, {kAny, kAny}));
  const int64_t count = scores_array.shape(batch_axes);
  const int64_t num_classes = scores_array.shape(batch_axes + 1);
  Require(num_classes > 0, "scores", num_classes, "one class or more");
  RequireCandidates(count, num_classes, "scores");
  const std::vector<int64_t> batch(scores_array.shape(), scores_array.shape() + batch_axes);
  const bool shared =
      py::ssize_t(py::len(py::getattr(boxes, "shape", py::tuple()))) != batch_axes + 3;
  const Floats boxes_array = ReadArray<float>(
      boxes, "boxes", shared ? shape(batch, {count, 4}) : shape(batch, {count, num_classes, 4}));
  RequireNoNan(boxes_array, "boxes");
  return {boxes_array, scores_array, shared, batch.empty() ? 1 : batch[0], count, num_classes};
}

NmsOptions CheckedMulticlassOptions(bool class_agnostic, float score_threshold, float iou_threshold,
                                    int64_t max_per_class, int64_t max_total,
                                    int64_t max_candidates, float soft_nms_sigma) {
  Require(max_candidates >= 0, "max_candidates", max_candidates, "0 or more");
  Require(!class_agnostic || max_candidates == 0, "max_candidates", max_candidates,
          "0 when class-agnostic");
  return CheckedNmsOptions(score_threshold, iou_threshold, soft_nms_sigma, max_per_class,
                           max_total);
}

std::vector<Selection> SelectFrom(const Multiclass& batch, int64_t picture, bool class_agnostic,
                                  int64_t max_candidates, const NmsOptions& options) {
  const int64_t count = batch.count, num_classes = batch.num_classes;
  const Box* boxes =
      AsBoxes(batch.boxes) + picture * count * (batch.shared_boxes ? 1 : num_classes);
  const float* scores = batch.scores.data() + picture * count * num_classes;
  return class_agnostic
             ? ClassAgnosticNms(boxes, batch.shared_boxes, scores, count, num_classes, options)
             : MulticlassNms(boxes, batch.shared_boxes, scores, count, num_classes, max_candidates,
                             options);
}

py::tuple PyMulticlassNms(py::handle boxes, py::handle scores, bool class_agnostic,
                          float score_threshold, float iou_threshold, int64_t max_per_class,
                          int64_t max_total, int64_t max_candidates, float soft_nms_sigma) {
  const Multiclass picture = CheckedMulticlass(boxes, scores, {});
  const NmsOptions options =
      CheckedMulticlassOptions(class_agnostic, score_threshold, iou_threshold, max_per_class,
                               max_total, max_candidates, soft_nms_sigma);
  std::vector<Selection> selected;
  {
    py::gil_scoped_release release;
    selected = SelectFrom(picture, 0, class_agnostic, max_candidates, options);
  }
  return AsArrays(selected);
}

py::list PyBatchMulticlassNms(py::handle boxes, py::handle scores, bool class_agnostic,
                              float score_threshold, float iou_threshold, int64_t max_per_class,
                              int64_t max_total, int64_t max_candidates, float soft_nms_sigma,
                              int64_t threads) {
  const Multiclass batch = CheckedMulticlass(boxes, scores, {kAny});
  const NmsOptions options =
      CheckedMulticlassOptions(class_agnostic, score_threshold, iou_threshold, max_per_class,
                               max_total, max_candidates, soft_nms_sigma);
  Require(threads >= 1, "threads", threads, "1 or more");
  std::vector<std::vector<Selection>> selected(batch.pictures);
  {
    py::gil_scoped_release release;
    ParallelFor(batch.pictures, threads, [&](int64_t i) {
      selected[i] = SelectFrom(batch, i, class_agnostic, max_candidates, options);
    });
  }
  py::list results;
  for (const std::vector<Selection>& of_picture : selected) results.append(AsArrays(of_picture));
  return results;
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
  module.def("batch_multiclass_nms", &PyBatchMulticlassNms, arg("boxes"), arg("scores"), kw_only(),
             arg("class_agnostic"), arg("score_threshold"), arg("iou_threshold"),
             arg("max_per_class"), arg("max_total"), arg("max_candidates"), arg("soft_nms_sigma"),
             arg("threads"));
}

}  // namespace roadmark
