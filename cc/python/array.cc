#include "cc/python/array.h"

#include <cmath>

namespace py = pybind11;

namespace roadmark {
namespace {

py::array AsArray(py::handle argument, const char* name) {
  if (py::isinstance<py::array>(argument)) return py::reinterpret_borrow<py::array>(argument);
  const py::module_ numpy = py::module_::import("numpy");
  try {
    if (py::hasattr(argument, "__dlpack__")) return numpy.attr("from_dlpack")(argument);
    if (PyObject_CheckBuffer(argument.ptr())) {
      return numpy.attr("asarray")(py::memoryview(py::reinterpret_borrow<py::object>(argument)));
    }
  } catch (const py::error_already_set& error) {
    throw py::value_error(std::string(name) + ": " + error.what());
  }
  throw py::value_error(std::string(name) + ": found " +
                        std::string(py::str(py::type::of(argument).attr("__name__"))) +
                        ", expected an array");
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i ? ", " : "") + (shape[i] == kAny ? std::string("any") : std::to_string(shape[i]));
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::string DtypeText(const py::dtype& dtype) { return py::str(dtype); }

bool Fits(const py::array& array, const py::dtype& dtype, const std::vector<int64_t>& shape) {
  if (!array.dtype().equal(dtype) || array.ndim() != static_cast<int64_t>(shape.size())) {
    return false;
  }
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != kAny && array.shape(static_cast<int64_t>(i)) != shape[i]) return false;
  }
  return true;
}

}  // namespace

std::string Describe(const py::array& array) {
  return DtypeText(array.dtype()) + " " +
         ShapeText(std::vector<int64_t>(array.shape(), array.shape() + array.ndim()));
}

py::array CheckedArray(py::handle argument, const char* name, const py::dtype& dtype,
                       const std::vector<int64_t>& shape) {
  const py::array array = AsArray(argument, name);
  if (Fits(array, dtype, shape)) return array;
  throw py::value_error(std::string(name) + ": found " + Describe(array) + ", expected " +
                        DtypeText(dtype) + " " + ShapeText(shape));
}

void RequireNoNan(const py::array_t<float, py::array::c_style>& boxes, const char* name) {
  const float* values = boxes.data();
  const int64_t count = boxes.size();
  // Not ended at the first: this loop vectorises.
  int any = 0;
  for (int64_t i = 0; i < count; ++i) any |= values[i] != values[i];
  if (!any) return;
  int64_t first = 0;
  while (!std::isnan(values[first])) ++first;
  const float* row = values + first / 4 * 4;
  throw py::value_error(std::string(name) + "[" + std::to_string(first / 4) + "]: found (" +
                        std::to_string(row[0]) + ", " + std::to_string(row[1]) + ", " +
                        std::to_string(row[2]) + ", " + std::to_string(row[3]) +
                        "), expected corners that are numbers");
}

}  // namespace roadmark
