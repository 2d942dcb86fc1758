#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "cc/parallel.h"
#include "cc/postprocess/paste_masks.h"
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

// What masks of a batch look like: [pictures, count, per_row, height, width].
struct MaskLogits {
  const float* values = nullptr;  // Null for none.
  int64_t per_row = 0, height = 0, width = 0;
};

// Boxes, scores, classes, rows and, if any, mask probabilities of one picture.
py::tuple AsArrays(const std::vector<Detection>& detections, const MaskLogits& masks) {
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
  if (masks.values == nullptr) return py::make_tuple(boxes, scores, classes, rows, py::none());
  py::array_t<float> probabilities({count, masks.height, masks.width});
  SelectMasks(masks.values, masks.per_row, masks.height * masks.width, detections,
              probabilities.mutable_data());
  return py::make_tuple(boxes, scores, classes, rows, probabilities);
}

py::list PyPostprocess(py::handle class_logits, py::handle box_encodings, py::handle anchors,
                       py::handle mask_logits, py::handle counts, py::handle windows,
                       const std::array<float, 4>& scale_factors,
                       const std::string& score_converter, float logit_scale,
                       bool background_column, bool class_agnostic, float score_threshold,
                       float iou_threshold, int64_t max_per_class, int64_t max_total,
                       float soft_nms_sigma, int64_t threads) {
  const Floats logits = ReadArray<float>(class_logits, "class_logits", {kAny, kAny, kAny});
  const int64_t pictures = logits.shape(0), count = logits.shape(1), columns = logits.shape(2);
  const int64_t num_classes = columns - background_column;
  Require(num_classes > 0, "class_logits", num_classes, "one class or more besides background");
  RequireCandidates(count, columns, "class_logits");
  const bool shared_anchors = py::len(py::getattr(anchors, "shape", py::tuple())) != 3;
  const Floats anchors_array = shared_anchors
                                   ? ReadArray<float>(anchors, "anchors", {count, 4})
                                   : ReadArray<float>(anchors, "anchors", {pictures, count, 4});
  const Floats encodings =
      ReadArray<float>(box_encodings, "box_encodings", {pictures, count, kAny, 4});
  const int64_t boxes_per_row = encodings.shape(2);
  Require(boxes_per_row == 1 || boxes_per_row == num_classes, "box_encodings", Describe(encodings),
          "one box per row, or one per class");
  const auto counts_array = ReadArray<int32_t>(counts, "counts", {pictures});
  const Floats windows_array = ReadArray<float>(windows, "windows", {pictures, 2});
  for (int64_t i = 0; i < pictures; ++i) {
    Require(counts_array.at(i) >= 0 && counts_array.at(i) <= count, "counts", counts_array.at(i),
            "0 to the number of rows");
    const std::pair<float, float> window = {windows_array.at(i, 0), windows_array.at(i, 1)};
    Require(window.first > 0 && window.second > 0, "windows", window, "a height and width above 0");
  }
  Floats masks_array;
  MaskLogits masks;
  if (!mask_logits.is_none()) {
    masks_array = ReadArray<float>(mask_logits, "mask_logits", {pictures, count, kAny, kAny, kAny});
    masks = {masks_array.data(), masks_array.shape(2), masks_array.shape(3), masks_array.shape(4)};
    Require(masks.per_row == 1 || masks.per_row == num_classes, "mask_logits",
            Describe(masks_array), "one mask per row, or one per class");
  }
  Require(logit_scale > 0 && std::isfinite(logit_scale), "logit_scale", logit_scale, "above 0");
  Require(threads >= 1, "threads", threads, "1 or more");
  const PostprocessOptions options = {
      CheckedScales(scale_factors),
      ScoreFunctionNamed(score_converter),
      logit_scale,
      background_column,
      class_agnostic,
      CheckedNmsOptions(score_threshold, iou_threshold, soft_nms_sigma, max_per_class, max_total)};
  std::vector<std::vector<Detection>> detections(pictures);
  {
    py::gil_scoped_release release;
    ParallelFor(pictures, threads, [&](int64_t i) {
      const RawOutputs raw = {logits.data() + i * count * columns,
                              encodings.data() + i * count * boxes_per_row * 4,
                              AsBoxes(anchors_array) + (shared_anchors ? 0 : i * count),
                              counts_array.data()[i],
                              num_classes,
                              boxes_per_row};
      const float* window = windows_array.data() + 2 * i;
      detections[i] = Postprocess(raw, {window[0], window[1]}, options);
    });
  }
  py::list results;
  for (int64_t i = 0; i < pictures; ++i) {
    MaskLogits of_picture = masks;
    if (masks.values) {
      of_picture.values += i * count * masks.per_row * masks.height * masks.width;
    }
    results.append(AsArrays(detections[i], of_picture));
  }
  return results;
}

// Up to which float32 counts pixels.
constexpr int64_t kLargestSide = int64_t{1} << 24;

py::array PyPasteMasks(py::handle probabilities, py::handle boxes,
                       std::pair<int64_t, int64_t> image_size, float threshold, int64_t threads) {
  const Floats probabilities_array =
      ReadArray<float>(probabilities, "probabilities", {kAny, kAny, kAny});
  const int64_t count = probabilities_array.shape(0);
  const int64_t height = probabilities_array.shape(1), width = probabilities_array.shape(2);
  Require(height > 0 && width > 0, "probabilities", Describe(probabilities_array),
          "sides of 1 or more");
  const Floats boxes_array = ReadArray<float>(boxes, "boxes", {count, 4});
  RequireNoNan(boxes_array, "boxes");
  const auto [rows, columns] = image_size;
  Require(rows >= 0 && rows <= kLargestSide && columns >= 0 && columns <= kLargestSide,
          "image_size", image_size, "sides of 0 to 2**24");
  Require(!std::isnan(threshold), "threshold", threshold, "a number");
  Require(threads >= 1, "threads", threads, "1 or more");
  // NumPy's zeros are the system's: pages that no box lies on are never touched.
  py::array_t<bool> masks = py::module_::import("numpy").attr("zeros")(
      py::make_tuple(count, rows, columns), py::dtype::of<bool>());
  auto* pixels = reinterpret_cast<uint8_t*>(masks.mutable_data());
  {
    py::gil_scoped_release release;
    PasteMasks({probabilities_array.data(), AsBoxes(boxes_array), count, height, width}, threshold,
               rows, columns, threads, pixels);
  }
  return masks;
}

}  // namespace

void BindPostprocess(py::module_& module) {
  using py::arg;
  using py::kw_only;
  module.def("postprocess", &PyPostprocess, arg("class_logits"), arg("box_encodings"),
             arg("anchors"), kw_only(), arg("mask_logits"), arg("counts"), arg("windows"),
             arg("scale_factors"), arg("score_converter"), arg("logit_scale"),
             arg("background_column"), arg("class_agnostic"), arg("score_threshold"),
             arg("iou_threshold"), arg("max_per_class"), arg("max_total"), arg("soft_nms_sigma"),
             arg("threads"));
  module.def("paste_masks", &PyPasteMasks, arg("probabilities"), arg("boxes"), kw_only(),
             arg("image_size"), arg("threshold"), arg("threads"));
}

}  // namespace roadmark
