#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cc/parallel.h"
#include "cc/preprocess/preprocess.h"
#include "cc/python/arguments.h"
#include "cc/python/bindings.h"

namespace py = pybind11;

namespace roadmark {
namespace {

using AnyPicture = std::variant<Picture, YuvPicture>;

// Offsets into a row are 32 bits wide in other places that take pictures.
constexpr int64_t kMaxSide = 1 << 28;

void RequireSides(const py::array& array, const std::string& name) {
  const bool fits = array.shape(0) > 0 && array.shape(1) > 0 && array.shape(0) < kMaxSide &&
                    array.shape(1) < kMaxSide;
  Require(fits, name.c_str(), Describe(array), "sides of 1 to 2**28");
}

// `argument` as a uint8 array whose rows may be any distance apart, but are without gaps. Copied if
// need be; `owners` keeps it alive.
py::array RowsArray(py::handle argument, const std::string& name, const std::vector<int64_t>& shape,
                    std::vector<py::array>* owners) {
  py::array array = CheckedArray(argument, name.c_str(), py::dtype::of<uint8_t>(), shape);
  int64_t step = 1;
  bool without_gaps = true;
  for (py::ssize_t axis = array.ndim() - 1; axis > 0; step *= array.shape(axis--)) {
    without_gaps &= array.strides(axis) == step;
  }
  if (!without_gaps) array = py::array_t<uint8_t, py::array::c_style>::ensure(array);
  owners->push_back(array);
  return array;
}

const uint8_t* Pixels(const py::array& array) { return static_cast<const uint8_t*>(array.data()); }

ColourMatrix MatrixNamed(const std::string& name, const std::string& argument) {
  if (name == "bt601") return ColourMatrix::kBt601;
  Require(name == "bt709", argument.c_str(), name, "bt601 or bt709");
  return ColourMatrix::kBt709;
}

YuvPicture YuvPictureOf(py::handle image, const std::string& name, std::vector<py::array>* owners) {
  const py::sequence planes = py::getattr(image, "planes");
  Require(planes.size() == 2 || planes.size() == 3, (name + ".planes").c_str(), planes.size(),
          "3 planes (I420) or 2 (NV12)");
  const auto plane_name = [&](int i) { return name + ".planes[" + std::to_string(i) + "]"; };
  const py::array y = RowsArray(planes[0], plane_name(0), {kAny, kAny}, owners);
  RequireSides(y, plane_name(0));
  const int64_t height = y.shape(0), width = y.shape(1);
  const int64_t rows = (height + 1) / 2, columns = (width + 1) / 2;
  const ColourMatrix matrix =
      MatrixNamed(py::cast<std::string>(py::getattr(image, "matrix")), name + ".matrix");
  const bool full_range = py::cast<bool>(py::getattr(image, "full_range"));
  if (planes.size() == 2) {
    const py::array uv = RowsArray(planes[1], plane_name(1), {rows, columns, 2}, owners);
    return {Pixels(y), Pixels(uv),   Pixels(uv) + 1, height,
            width,     y.strides(0), uv.strides(0),  uv.strides(0),
            2,         matrix,       full_range};
  }
  const py::array u = RowsArray(planes[1], plane_name(1), {rows, columns}, owners);
  const py::array v = RowsArray(planes[2], plane_name(2), {rows, columns}, owners);
  return {Pixels(y),    Pixels(u),    Pixels(v), height, width,     y.strides(0),
          u.strides(0), v.strides(0), 1,         matrix, full_range};
}

AnyPicture PictureOf(py::handle image, const std::string& name, std::vector<py::array>* owners) {
  if (py::hasattr(image, "planes")) return YuvPictureOf(image, name, owners);
  const py::array pixels = RowsArray(image, name, {kAny, kAny, 3}, owners);
  RequireSides(pixels, name);
  return Picture{Pixels(pixels), pixels.shape(0), pixels.shape(1), pixels.strides(0)};
}

Layout LayoutNamed(const std::string& name) {
  if (name == "NHWC") return Layout::kNhwc;
  Require(name == "NCHW", "layout", name, "NHWC or NCHW");
  return Layout::kNchw;
}

// `out` by the type of its values; bfloat16, which NumPy does not know, comes as its bits.
py::array WriteBatch(py::handle out, ValueType type, const std::vector<int64_t>& shape) {
  switch (type) {
    case ValueType::kFloat32:
      return WriteArray<float>(out, "out", shape);
    case ValueType::kBfloat16:
      return WriteArray<uint16_t>(out, "out", shape);
    case ValueType::kUint8:
      break;
  }
  return WriteArray<uint8_t>(out, "out", shape);
}

ValueType ValueTypeNamed(const std::string& name) {
  if (name == "float32") return ValueType::kFloat32;
  if (name == "bfloat16") return ValueType::kBfloat16;
  Require(name == "uint8", "dtype", name, "float32, bfloat16 or uint8");
  return ValueType::kUint8;
}

void PyPreprocess(const std::vector<py::object>& images,
                  const std::vector<std::pair<int64_t, int64_t>>& resized,
                  const std::array<float, 3>& mean, const std::array<float, 3>& scale,
                  const std::array<float, 3>& pad_value, const std::string& layout,
                  const std::string& dtype, py::handle out, int64_t threads) {
  const auto count = static_cast<int64_t>(images.size());
  Require(resized.size() == images.size(), "resized", resized.size(), "one size per image");
  Require(threads >= 1, "threads", threads, "1 or more");
  InputFormat format = {0, 0, 0, 0, {}, {}, {}, LayoutNamed(layout), ValueTypeNamed(dtype)};
  std::copy(mean.begin(), mean.end(), format.mean);
  std::copy(scale.begin(), scale.end(), format.scale);
  std::copy(pad_value.begin(), pad_value.end(), format.pad_value);
  const bool planar = format.layout == Layout::kNchw;
  py::array batch = WriteBatch(out, format.type,
                               planar ? std::vector<int64_t>{count, 3, kAny, kAny}
                                      : std::vector<int64_t>{count, kAny, kAny, 3});
  format.height = batch.shape(planar ? 2 : 1);
  format.width = batch.shape(planar ? 3 : 2);
  std::vector<py::array> owners;
  std::vector<AnyPicture> pictures;
  for (int64_t i = 0; i < count; ++i) {
    pictures.push_back(PictureOf(images[i], "images[" + std::to_string(i) + "]", &owners));
    const auto [height, width] = resized[i];
    Require(height >= 1 && height <= format.height && width >= 1 && width <= format.width,
            "resized", resized[i], "1 to the sides of out");
  }
  auto* values = static_cast<uint8_t*>(batch.mutable_data());
  const int64_t image_bytes = format.height * format.width * 3 * batch.itemsize();
  // With fewer pictures than threads, threads share a picture.
  const int64_t parts = count == 0 ? 1 : (threads + count - 1) / count;
  py::gil_scoped_release release;
  ParallelFor(count * parts, threads, [&](int64_t turn) {
    const int64_t i = turn / parts, part = turn % parts;
    InputFormat of_image = format;
    of_image.resized_height = resized[i].first;
    of_image.resized_width = resized[i].second;
    std::visit(
        [&](const auto& picture) {
          PreprocessRows(picture, of_image, format.height * part / parts,
                         format.height * (part + 1) / parts, values + i * image_bytes);
        },
        pictures[i]);
  });
}

}  // namespace

void BindPreprocess(py::module_& module) {
  using py::arg;
  using py::kw_only;
  module.def("preprocess", &PyPreprocess, arg("images"), kw_only(), arg("resized"), arg("mean"),
             arg("scale"), arg("pad_value"), arg("layout"), arg("dtype"), arg("out"),
             arg("threads"));
}

}  // namespace roadmark
