#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <limits>

#include "cc/matcher/matcher.h"
#include "cc/python/arguments.h"
#include "cc/python/bindings.h"

namespace py = pybind11;

namespace roadmark {
namespace {

void RequireCorners(const Floats& boxes, const char* name) {
  const float* values = boxes.data();
  // Counted rather than searched for: this loop vectorises. NaN is not below the limit either.
  int64_t good = 0;
  for (int64_t i = 0; i < boxes.size(); ++i) good += std::fabs(values[i]) <= kLargestCorner;
  if (good == boxes.size()) return;
  RequireNoNan(boxes, name);
  for (int64_t i = 0; i < boxes.size(); ++i) {
    Require(std::fabs(values[i]) <= kLargestCorner, name, values[i],
            "corners between -1e18 and 1e18");
  }
}

// Owns what AnchorIndex and TargetOptions refer to.
class PyTargetAssigner {
 public:
  PyTargetAssigner(py::handle anchors, py::handle unmatched_label, float matched_threshold,
                   float unmatched_threshold, bool negatives_lower_than_unmatched,
                   bool force_match_for_each_row, const std::array<float, 4>& scale_factors,
                   float negative_class_weight)
      : label_(ReadArray<float>(unmatched_label, "unmatched_label", {kAny})),
        index_(MakeIndex(anchors)) {
    Require(unmatched_threshold >= 0 && unmatched_threshold <= 1, "unmatched_threshold",
            unmatched_threshold, "0 to 1");
    Require(matched_threshold >= unmatched_threshold && matched_threshold <= 1, "matched_threshold",
            matched_threshold, "unmatched_threshold to 1");
    Require(std::isfinite(negative_class_weight), "negative_class_weight", negative_class_weight,
            "a number");
    options_ = {{matched_threshold, unmatched_threshold, negatives_lower_than_unmatched,
                 force_match_for_each_row},
                CheckedScales(scale_factors),
                negative_class_weight,
                label_.size(),
                label_.data()};
  }

  py::tuple Assign(py::handle boxes, py::handle labels, py::handle weights, int threads) const {
    const Floats boxes_array = ReadArray<float>(boxes, "boxes", {kAny, kAny, 4});
    const int64_t batch = boxes_array.shape(0), slots = boxes_array.shape(1);
    const int64_t num_classes = options_.num_classes;
    const auto count = static_cast<int64_t>(index_.anchors().size());
    const Floats labels_array = ReadArray<float>(labels, "labels", {batch, slots, num_classes});
    const Floats weights_array = ReadArray<float>(weights, "weights", {batch, slots});
    RequireCorners(boxes_array, "boxes");
    Require(slots <= std::numeric_limits<int32_t>::max(), "boxes", slots, "fewer than 2**31");
    Require(threads >= 1, "threads", threads, "1 or more");
    py::array_t<float> class_targets({batch, count, num_classes}), class_weights({batch, count});
    py::array_t<float> box_targets({batch, count, int64_t{4}}), box_weights({batch, count});
    py::array_t<int32_t> matches({batch, count});
    std::vector<Groundtruth> images;
    for (int64_t i = 0; i < batch; ++i) {
      images.push_back({AsBoxes(boxes_array) + i * slots,
                        labels_array.data() + i * slots * num_classes,
                        weights_array.data() + i * slots, slots});
    }
    const Targets targets = {class_targets.mutable_data(), class_weights.mutable_data(),
                             box_targets.mutable_data(), box_weights.mutable_data(),
                             matches.mutable_data()};
    {
      py::gil_scoped_release release;
      AssignTargets(index_, options_, images, threads, targets);
    }
    return py::make_tuple(class_targets, class_weights, box_targets, box_weights, matches);
  }

 private:
  static AnchorIndex MakeIndex(py::handle anchors) {
    const Floats array = ReadArray<float>(anchors, "anchors", {kAny, 4});
    RequireCorners(array, "anchors");
    const int64_t count = array.shape(0);
    Require(count <= std::numeric_limits<int32_t>::max(), "anchors", count, "fewer than 2**31");
    py::gil_scoped_release release;
    return AnchorIndex(AsBoxes(array), count);
  }

  Floats label_;
  AnchorIndex index_;
  TargetOptions options_;
};

}  // namespace

void BindMatcher(py::module_& module) {
  using py::arg;
  using py::kw_only;
  py::class_<PyTargetAssigner>(module, "TargetAssigner")
      .def(py::init<py::handle, py::handle, float, float, bool, bool, const std::array<float, 4>&,
                    float>(),
           arg("anchors"), arg("unmatched_label"), kw_only(), arg("matched_threshold"),
           arg("unmatched_threshold"), arg("negatives_lower_than_unmatched"),
           arg("force_match_for_each_row"), arg("scale_factors"), arg("negative_class_weight"))
      .def("assign", &PyTargetAssigner::Assign, arg("boxes"), arg("labels"), arg("weights"),
           kw_only(), arg("threads"));
}

}  // namespace roadmark
