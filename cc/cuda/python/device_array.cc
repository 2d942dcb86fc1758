#include "cc/cuda/python/device_array.h"

#include <pybind11/stl.h>

#include <cstring>

namespace py = pybind11;

namespace roadmark {
namespace cuda {
namespace {

// DLPack's ABI (https://dmlc.github.io/dlpack/latest/c_api.html), as far as it is used.
struct DlTensor {
  void* data;
  int32_t device_type, device_id;
  int32_t ndim;
  uint8_t type_code, type_bits;
  uint16_t type_lanes;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
constexpr int32_t kDlCuda = 2, kDlCudaManaged = 13;
constexpr uint8_t kDlInt = 0, kDlUint = 1, kDlFloat = 2, kDlBfloat = 4, kDlBool = 6;

struct Described {
  DeviceArray array;
  std::string dtype;
};

std::string DlTypeName(const DlTensor& tensor) {
  const std::string bits = std::to_string(tensor.type_bits);
  if (tensor.type_lanes != 1) return "vectors";
  switch (tensor.type_code) {
    case kDlInt:
      return "int" + bits;
    case kDlUint:
      return "uint" + bits;
    case kDlFloat:
      return "float" + bits;
    case kDlBfloat:
      return "bfloat" + bits;
    case kDlBool:
      return "bool";
    default:
      return "type " + std::to_string(tensor.type_code) + " of " + bits + " bits";
  }
}

std::vector<int64_t> DenseStrides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t step = 1;
  for (size_t axis = shape.size(); axis-- > 0; step *= shape[axis]) strides[axis] = step;
  return strides;
}

[[noreturn]] void RaiseNotOnDevice(const std::string& name) {
  throw py::value_error(name + ": found an array in host memory, expected one in CUDA memory");
}

Described FromDlpack(py::handle argument, const std::string& name) {
  const int32_t type = py::cast<int32_t>(py::tuple(argument.attr("__dlpack_device__")())[0]);
  if (type != kDlCuda && type != kDlCudaManaged) RaiseNotOnDevice(name);
  // -1: the caller's stream is the one on which the array is ready.
  const py::object capsule = argument.attr("__dlpack__")(py::arg("stream") = -1);
  // Left unused, the capsule frees the tensor when it goes.
  const auto* tensor =
      static_cast<const DlTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  if (!tensor) throw py::error_already_set();
  const std::vector<int64_t> shape(tensor->shape, tensor->shape + tensor->ndim);
  const std::vector<int64_t> strides =
      tensor->strides ? std::vector<int64_t>(tensor->strides, tensor->strides + tensor->ndim)
                      : DenseStrides(shape);
  return {{static_cast<char*>(tensor->data) + tensor->byte_offset, shape, strides,
           tensor->device_id, false, capsule},
          DlTypeName(*tensor)};
}

Described FromInterface(py::handle argument, const std::string& name) {
  const auto interface = py::cast<py::dict>(argument.attr("__cuda_array_interface__"));
  const auto data = py::cast<py::tuple>(interface["data"]);
  const auto shape = py::cast<std::vector<int64_t>>(interface["shape"]);
  const py::object dtype = py::module_::import("numpy").attr("dtype")(interface["typestr"]);
  const auto item_bytes = py::cast<int64_t>(dtype.attr("itemsize"));
  std::vector<int64_t> strides = DenseStrides(shape);
  if (interface.contains("strides") && !interface["strides"].is_none()) {
    strides = py::cast<std::vector<int64_t>>(interface["strides"]);
    for (int64_t& stride : strides) stride /= item_bytes;
  }
  void* pointer = reinterpret_cast<void*>(py::cast<uintptr_t>(data[0]));
  cudaPointerAttributes attributes = {};
  if (pointer) {
    RaiseUnlessSuccess(cudaPointerGetAttributes(&attributes, pointer), name.c_str());
    if (attributes.type != cudaMemoryTypeDevice && attributes.type != cudaMemoryTypeManaged) {
      RaiseNotOnDevice(name);
    }
  } else {
    RaiseUnlessSuccess(cudaGetDevice(&attributes.device), name.c_str());
  }
  return {{pointer, shape, strides, attributes.device, py::cast<bool>(data[1]),
           py::reinterpret_borrow<py::object>(argument)},
          py::str(dtype)};
}

Described Describe(py::handle argument, const std::string& name) {
  try {
    if (py::hasattr(argument, "__dlpack__")) return FromDlpack(argument, name);
    if (py::hasattr(argument, "__cuda_array_interface__")) return FromInterface(argument, name);
  } catch (const py::error_already_set& error) {
    throw py::value_error(name + ": " + error.what());
  }
  throw py::value_error(name + ": found " +
                        std::string(py::str(py::type::of(argument).attr("__name__"))) +
                        ", expected an array in CUDA memory");
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i ? ", " : "") + (shape[i] == kAnySize ? "any" : std::to_string(shape[i]));
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

bool Fits(const std::vector<int64_t>& shape, const std::vector<int64_t>& expected) {
  if (shape.size() != expected.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (expected[i] != kAnySize && shape[i] != expected[i]) return false;
  }
  return true;
}

cudaStream_t StreamOf(py::handle stream) {
  py::object handle = py::reinterpret_borrow<py::object>(stream);
  if (py::hasattr(stream, "cuda_stream")) {
    handle = stream.attr("cuda_stream");
  } else if (py::hasattr(stream, "__cuda_stream__")) {
    handle = py::cast<py::tuple>(stream.attr("__cuda_stream__")())[1];
  } else if (py::hasattr(stream, "ptr")) {
    handle = stream.attr("ptr");
  }
  try {
    return reinterpret_cast<cudaStream_t>(py::cast<uintptr_t>(handle));
  } catch (const py::cast_error&) {
    throw py::value_error("stream: found " + std::string(py::str(handle)) +
                          ", expected a CUDA stream or its handle");
  }
}

DeviceArray Writeable(DeviceArray array, const std::string& name) {
  if (array.read_only) {
    throw py::value_error(name + ": found a read-only array, expected one to write into");
  }
  return array;
}

}  // namespace

void RequireSides(const DeviceArray& array, const std::string& name) {
  // Offsets of pixels are 32 bits wide in other places that take pictures.
  constexpr int64_t kMaxSide = 1 << 28;
  const int64_t height = array.shape[0], width = array.shape[1];
  if (height > 0 && width > 0 && height < kMaxSide && width < kMaxSide) return;
  throw py::value_error(name + ": found " + std::to_string(height) + " x " + std::to_string(width) +
                        ", expected sides of 1 to 2**28");
}

void RaiseUnlessSuccess(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string(what) + ": CUDA: " + cudaGetErrorString(error));
}

Call::Call(py::handle stream) : stream_(StreamOf(stream)) {}

Call::~Call() {
  if (previous_device_ != device_) cudaSetDevice(previous_device_);
}

DeviceArray Call::Checked(py::handle argument, const std::string& name, const char* dtype,
                          const std::vector<int64_t>& shape, int first_dense_axis) {
  const Described found = Describe(argument, name);
  const DeviceArray& array = found.array;
  if (found.dtype != dtype || !Fits(array.shape, shape)) {
    throw py::value_error(name + ": found " + found.dtype + " " + ShapeText(array.shape) +
                          ", expected " + dtype + " " + ShapeText(shape));
  }
  const std::vector<int64_t> dense = DenseStrides(array.shape);
  for (size_t axis = static_cast<size_t>(first_dense_axis); axis < dense.size(); ++axis) {
    // The step along an axis of one is nobody's business.
    if (array.shape[axis] > 1 && array.strides[axis] != dense[axis]) {
      throw py::value_error(name + ": found a strided array, expected C order");
    }
  }
  if (device_ < 0) {
    device_ = array.device;
    RaiseUnlessSuccess(cudaGetDevice(&previous_device_), "device");
    if (previous_device_ != device_) RaiseUnlessSuccess(cudaSetDevice(device_), "device");
  }
  if (array.device != device_) {
    throw py::value_error(name + ": found on device " + std::to_string(array.device) +
                          ", expected on device " + std::to_string(device_) +
                          " like the arguments before");
  }
  return array;
}

DeviceArray Call::Read(py::handle argument, const std::string& name, const char* dtype,
                       const std::vector<int64_t>& shape) {
  return Checked(argument, name, dtype, shape, 0);
}

DeviceArray Call::ReadRows(py::handle argument, const std::string& name, const char* dtype,
                           const std::vector<int64_t>& shape) {
  return Checked(argument, name, dtype, shape, 1);
}

DeviceArray Call::Write(py::handle argument, const std::string& name, const char* dtype,
                        const std::vector<int64_t>& shape) {
  return Writeable(Checked(argument, name, dtype, shape, 0), name);
}

DeviceArray Call::WriteRows(py::handle argument, const std::string& name, const char* dtype,
                            const std::vector<int64_t>& shape) {
  return Writeable(Checked(argument, name, dtype, shape, 1), name);
}

void* Call::Workspace(py::handle argument, int64_t bytes) {
  const DeviceArray array = Write(argument, "workspace", "uint8", {kAnySize});
  if (array.shape[0] < bytes) {
    throw py::value_error("workspace: found " + std::to_string(array.shape[0]) +
                          " bytes, expected " + std::to_string(bytes) + " or more");
  }
  if (reinterpret_cast<uintptr_t>(array.data) % 256 != 0) {
    throw py::value_error("workspace: found an unaligned buffer, expected a multiple of 256 bytes");
  }
  return array.data;
}

}  // namespace cuda
}  // namespace roadmark
