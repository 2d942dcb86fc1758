// Array arguments: checked, named in errors, read in place.
#ifndef ROADMARK_CC_PYTHON_ARRAY_H_
#define ROADMARK_CC_PYTHON_ARRAY_H_

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <vector>

namespace roadmark {

// Stands for "any size" in an expected shape.
constexpr int64_t kAny = -1;

// "float32 (3, 4)", as error messages describe an array.
std::string Describe(const pybind11::array& array);

// The array behind `argument`: a NumPy array, or whatever has the buffer protocol or DLPack,
// without a copy. Raises ValueError, naming the argument `name`, unless its dtype is `dtype` and
// its shape fits `shape`.
pybind11::array CheckedArray(pybind11::handle argument, const char* name,
                             const pybind11::dtype& dtype, const std::vector<int64_t>& shape);

// A C-contiguous array of T that is only read. A strided argument is copied, once.
template <typename T>
pybind11::array_t<T, pybind11::array::c_style> ReadArray(pybind11::handle argument,
                                                         const char* name,
                                                         const std::vector<int64_t>& shape) {
  const pybind11::array array = CheckedArray(argument, name, pybind11::dtype::of<T>(), shape);
  return pybind11::array_t<T, pybind11::array::c_style>::ensure(array);
}

// An array of T to write into: it must be C-contiguous and writeable.
template <typename T>
pybind11::array_t<T> WriteArray(pybind11::handle argument, const char* name,
                                const std::vector<int64_t>& shape) {
  const pybind11::array array = CheckedArray(argument, name, pybind11::dtype::of<T>(), shape);
  if (!(array.flags() & pybind11::array::c_style)) {
    throw pybind11::value_error(std::string(name) + ": found a strided array, expected C order");
  }
  if (!array.writeable()) {
    throw pybind11::value_error(std::string(name) +
                                ": found a read-only array, expected one to "
                                "write into");
  }
  return pybind11::array_t<T>(array);
}

// Raises ValueError unless `condition`: "`name`: found `found`, expected `expected`".
template <typename Value>
void Require(bool condition, const char* name, const Value& found, const char* expected) {
  if (condition) return;
  throw pybind11::value_error(std::string(name) + ": found " +
                              std::string(pybind11::str(pybind11::cast(found))) + ", expected " +
                              expected);
}

// Raises ValueError naming the first row of float32 [..., 4] with a NaN.
void RequireNoNan(const pybind11::array_t<float, pybind11::array::c_style>& boxes,
                  const char* name);

}  // namespace roadmark

#endif  // ROADMARK_CC_PYTHON_ARRAY_H_
