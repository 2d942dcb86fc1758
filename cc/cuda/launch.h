// Starting kernels, and dividing the caller's workspace among them.
#ifndef ROADMARK_CC_CUDA_LAUNCH_H_
#define ROADMARK_CC_CUDA_LAUNCH_H_

#include <cuda_runtime.h>

#include <cstdint>

namespace roadmark {
namespace cuda {

#ifndef ROADMARK_CUDA_EMULATION  // Which starts kernels in its own way.
// The last argument of `kernel` and those before it are converted as in a call. An empty grid is no
// error. What goes wrong while the kernel runs is reported by a later call, as always.
template <typename... Parameters, typename... Arguments>
cudaError_t Launch(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream,
                   Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return cudaSuccess;
  // Some versions of the formatter take the brackets apart, which only nvcc notices.
  // clang-format off
  kernel<<<grid, threads, 0, stream>>>(static_cast<Parameters>(arguments)...);
  // clang-format on
  return cudaGetLastError();
}
#endif

#define ROADMARK_RETURN_IF_ERROR(expression)                \
  do {                                                      \
    const cudaError_t error_of_call = (expression);         \
    if (error_of_call != cudaSuccess) return error_of_call; \
  } while (false)

inline int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Hands out parts of a buffer. Without one (null) it only adds up what is needed.
class Workspace {
 public:
  explicit Workspace(void* buffer) : buffer_(static_cast<char*>(buffer)) {}

  template <typename T>
  T* Take(int64_t count) {
    const int64_t start = bytes_;
    bytes_ += DivideUp(count * static_cast<int64_t>(sizeof(T)), kAlignment) * kAlignment;
    return buffer_ ? reinterpret_cast<T*>(buffer_ + start) : nullptr;
  }

  int64_t bytes() const { return bytes_; }

 private:
  static constexpr int64_t kAlignment = 256;
  char* buffer_;
  int64_t bytes_ = 0;
};

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_CUDA_LAUNCH_H_
