#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>

#include "cc/box_coder/box_coder.h"
#include "cc/python/arguments.h"
#include "cc/python/bindings.h"

namespace py = pybind11;

namespace roadmark {
namespace {

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

}  // namespace

void BindBoxCoder(py::module_& module) {
  using py::arg;
  module.def("encode_boxes", &PyEncodeBoxes, arg("boxes"), arg("anchors"), arg("scale_factors"));
  module.def("decode_boxes", &PyDecodeBoxes, arg("encodings"), arg("anchors"),
             arg("scale_factors"));
}

}  // namespace roadmark
