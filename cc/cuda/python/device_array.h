// Arrays in device memory, from DLPack or __cuda_array_interface__: checked, named in errors, used
// in place.
#ifndef ROADMARK_CC_CUDA_PYTHON_DEVICE_ARRAY_H_
#define ROADMARK_CC_CUDA_PYTHON_DEVICE_ARRAY_H_

#include <cuda_runtime.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <vector>

namespace roadmark {
namespace cuda {

// Stands for "any size" in an expected shape.
constexpr int64_t kAnySize = -1;

struct DeviceArray {
  void* data;
  std::vector<int64_t> shape, strides;  // Strides in values.
  int device;
  bool read_only;
  pybind11::object owner;

  template <typename T>
  T* As() const {
    return static_cast<T*>(data);
  }
};

// What a call's arrays share: all must be on one device, which is the current one for as long as
// this object lives.
class Call {
 public:
  // An integer (0 is the default stream), or anything with `cuda_stream` (PyTorch), `ptr` (CuPy) or
  // `__cuda_stream__`.
  explicit Call(pybind11::handle stream);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  cudaStream_t stream() const { return stream_; }

  // `dtype` is NumPy's name of it, or "bfloat16". Raises ValueError, naming the argument `name`,
  // unless the array is of that type and fits the shape, in C order.
  DeviceArray Read(pybind11::handle argument, const std::string& name, const char* dtype,
                   const std::vector<int64_t>& shape);
  // As Read(), of an array that may be written.
  DeviceArray Write(pybind11::handle argument, const std::string& name, const char* dtype,
                    const std::vector<int64_t>& shape);
  // As Read(), but rows (the first axis) may be any distance apart.
  DeviceArray ReadRows(pybind11::handle argument, const std::string& name, const char* dtype,
                       const std::vector<int64_t>& shape);
  // As ReadRows(), of an array that may be written.
  DeviceArray WriteRows(pybind11::handle argument, const std::string& name, const char* dtype,
                        const std::vector<int64_t>& shape);
  // A buffer of `bytes` or more, aligned to 256.
  void* Workspace(pybind11::handle argument, int64_t bytes);

 private:
  DeviceArray Checked(pybind11::handle argument, const std::string& name, const char* dtype,
                      const std::vector<int64_t>& shape, int first_dense_axis);

  cudaStream_t stream_;
  int device_ = -1, previous_device_ = -1;
};

// Raises ValueError, naming the argument `name`, unless the first two axes are those of a picture.
void RequireSides(const DeviceArray& array, const std::string& name);

// Raises RuntimeError with CUDA's message.
void RaiseUnlessSuccess(cudaError_t error, const char* what);

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_CUDA_PYTHON_DEVICE_ARRAY_H_
