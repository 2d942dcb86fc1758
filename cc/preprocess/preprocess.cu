#include "cc/cuda/launch.h"
#include "cc/preprocess/pixel.h"
#include "cc/preprocess/preprocess_cuda.h"

namespace roadmark {
namespace cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kChannels = 3;
constexpr unsigned kMostRowBlocks = 65535;

struct RgbSource {
  Picture picture;

  explicit RgbSource(const Picture& from) : picture(from) {}
  // Red is the lowest byte.
  __device__ uint32_t At(int64_t y, int64_t x) const {
    const uint8_t* pixel = picture.pixels + y * picture.stride + x * kChannels;
    return pixel[0] | static_cast<uint32_t>(pixel[1]) << 8 | static_cast<uint32_t>(pixel[2]) << 16;
  }
};

struct YuvSource {
  YuvPicture picture;
  ColourCoefficients coefficients;

  explicit YuvSource(const YuvPicture& from)
      : picture(from), coefficients(CoefficientsOf(from.matrix, from.full_range)) {}
  __device__ uint32_t At(int64_t y, int64_t x) const {
    const int64_t chroma = x / 2 * picture.chroma_step;
    return ConvertPixel(picture.y[y * picture.y_stride + x],
                        picture.u[y / 2 * picture.u_stride + chroma],
                        picture.v[y / 2 * picture.v_stride + chroma], coefficients);
  }
};

__device__ float ChannelOf(uint32_t pixel, int channel) {
  return static_cast<float>(static_cast<int32_t>(pixel >> (8 * channel) & 255u));
}

// A pixel of the output per thread: blocks are [columns, rows].
template <typename T, typename Source>
__global__ void __launch_bounds__(kThreads)
    PreprocessKernel(Source source, InputFormat format, T* out) {
  const int64_t x = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (x >= format.width) return;
  const bool planar = format.layout == Layout::kNchw;
  const int64_t plane = planar ? format.height * format.width : 1;
  const bool filled_column = x < format.resized_width;
  const Sample column = SampleAt(x, source.picture.width, format.resized_width);
  for (int64_t y = blockIdx.y; y < format.height; y += gridDim.y) {
    T* values = out + (y * format.width + x) * (planar ? 1 : kChannels);
    if (!filled_column || y >= format.resized_height) {
      for (int c = 0; c < kChannels; ++c) Store(format.pad_value[c], values + c * plane);
      continue;
    }
    const Sample row = SampleAt(y, source.picture.height, format.resized_height);
    const uint32_t upper_left = source.At(row.before, column.before);
    const uint32_t upper_right = source.At(row.before, column.after);
    const uint32_t lower_left = source.At(row.after, column.before);
    const uint32_t lower_right = source.At(row.after, column.after);
    for (int c = 0; c < kChannels; ++c) {
      // With a weight of 0 these are what the CPU takes without computing.
      const float upper = ChannelOf(upper_left, c) +
                          (ChannelOf(upper_right, c) - ChannelOf(upper_left, c)) * column.weight;
      const float lower = ChannelOf(lower_left, c) +
                          (ChannelOf(lower_right, c) - ChannelOf(lower_left, c)) * column.weight;
      const float value = upper + (lower - upper) * row.weight;
      Store((value - format.mean[c]) * format.scale[c], values + c * plane);
    }
  }
}

template <typename T, typename Source>
cudaError_t PreprocessAs(const Source& source, const InputFormat& format, void* out,
                         cudaStream_t stream) {
  const auto rows = static_cast<unsigned>(format.height);
  const dim3 grid(static_cast<unsigned>(DivideUp(format.width, kThreads)),
                  rows < kMostRowBlocks ? rows : kMostRowBlocks);
  return Launch(PreprocessKernel<T, Source>, grid, kThreads, stream, source, format,
                static_cast<T*>(out));
}

template <typename Source>
cudaError_t PreprocessFrom(const Source& source, const InputFormat& format, void* out,
                           cudaStream_t stream) {
  switch (format.type) {
    case ValueType::kFloat32:
      return PreprocessAs<float>(source, format, out, stream);
    case ValueType::kBfloat16:
      return PreprocessAs<uint16_t>(source, format, out, stream);
    case ValueType::kUint8:
      return PreprocessAs<uint8_t>(source, format, out, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t Preprocess(const Picture& picture, const InputFormat& format, void* out,
                       cudaStream_t stream) {
  return PreprocessFrom(RgbSource(picture), format, out, stream);
}

cudaError_t Preprocess(const YuvPicture& picture, const InputFormat& format, void* out,
                       cudaStream_t stream) {
  return PreprocessFrom(YuvSource(picture), format, out, stream);
}

}  // namespace cuda
}  // namespace roadmark
