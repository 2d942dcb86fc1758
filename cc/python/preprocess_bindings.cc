#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>

#include "cc/preprocess/preprocess.h"
#include "cc/python/arguments.h"
#include "cc/python/bindings.h"

namespace py = pybind11;

namespace roadmark {
namespace {

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

void BindPreprocess(py::module_& module) {
  using py::arg;
  using py::kw_only;
  module.def("preprocess", &PyPreprocess, arg("image"), kw_only(), arg("resized"), arg("mean"),
             arg("scale"), arg("pad_value"), arg("out"));
}

}  // namespace roadmark
