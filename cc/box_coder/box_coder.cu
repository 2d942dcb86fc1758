#include "cc/box_coder/box_coder_cuda.h"
#include "cc/cuda/launch.h"

namespace roadmark {
namespace cuda {
namespace {

constexpr int kThreads = 256;

__device__ int64_t Index() { return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; }

__global__ void EncodeFasterRcnnKernel(const Box* boxes, const Box* anchors, int64_t count,
                                       BoxScales scales, float* encodings) {
  const int64_t i = Index();
  if (i < count) roadmark::EncodeFasterRcnn(boxes[i], anchors[i], scales, encodings + 4 * i);
}

__global__ void DecodeFasterRcnnKernel(const float* encodings, const Box* anchors, int64_t count,
                                       BoxScales scales, Box* boxes) {
  const int64_t i = Index();
  if (i < count) boxes[i] = roadmark::DecodeFasterRcnn(encodings + 4 * i, anchors[i], scales);
}

__global__ void EncodeKeypointsKernel(const Box* boxes, const float* keypoints, const Box* anchors,
                                      int64_t count, int64_t num_keypoints, BoxScales scales,
                                      float* encodings) {
  const int64_t i = Index();
  if (i >= count) return;
  float* encoding = encodings + i * (4 + 2 * num_keypoints);
  roadmark::EncodeFasterRcnn(boxes[i], anchors[i], scales, encoding);
  const float* of_box = keypoints + i * 2 * num_keypoints;
  for (int64_t k = 0; k < num_keypoints; ++k) {
    EncodeKeypoint(of_box + 2 * k, anchors[i], scales, encoding + 4 + 2 * k);
  }
}

__global__ void DecodeKeypointsKernel(const float* encodings, const Box* anchors, int64_t count,
                                      int64_t num_keypoints, BoxScales scales, Box* boxes,
                                      float* keypoints) {
  const int64_t i = Index();
  if (i >= count) return;
  const float* encoding = encodings + i * (4 + 2 * num_keypoints);
  boxes[i] = roadmark::DecodeFasterRcnn(encoding, anchors[i], scales);
  float* of_box = keypoints + i * 2 * num_keypoints;
  for (int64_t k = 0; k < num_keypoints; ++k) {
    DecodeKeypoint(encoding + 4 + 2 * k, anchors[i], scales, of_box + 2 * k);
  }
}

__global__ void EncodeSquareKernel(const Box* boxes, const Box* anchors, int64_t count,
                                   BoxScales scales, float* encodings) {
  const int64_t i = Index();
  if (i < count) roadmark::EncodeSquare(boxes[i], anchors[i], scales, encodings + 3 * i);
}

__global__ void DecodeSquareKernel(const float* encodings, const Box* anchors, int64_t count,
                                   BoxScales scales, Box* boxes) {
  const int64_t i = Index();
  if (i < count) boxes[i] = roadmark::DecodeSquare(encodings + 3 * i, anchors[i], scales);
}

// Corners, four to a box.
__global__ void EncodeCornersKernel(const float* boxes, const float* anchors, int64_t count,
                                    float stddev, float* encodings) {
  const int64_t i = Index();
  if (i < count) encodings[i] = (boxes[i] - anchors[i]) / stddev;
}

__global__ void DecodeCornersKernel(const float* encodings, const float* anchors, int64_t count,
                                    float stddev, float* boxes) {
  const int64_t i = Index();
  if (i < count) boxes[i] = encodings[i] * stddev + anchors[i];
}

const float* Corners(const Box* boxes) { return reinterpret_cast<const float*>(boxes); }

// A thread per item.
template <typename... Parameters, typename... Arguments>
cudaError_t ForEach(int64_t items, void (*kernel)(Parameters...), cudaStream_t stream,
                    Arguments... arguments) {
  const dim3 grid(static_cast<unsigned>(DivideUp(items, kThreads)));
  return Launch(kernel, grid, kThreads, stream, arguments...);
}

}  // namespace

cudaError_t EncodeFasterRcnn(const Box* boxes, const Box* anchors, int64_t count,
                             const BoxScales& scales, float* encodings, cudaStream_t stream) {
  return ForEach(count, EncodeFasterRcnnKernel, stream, boxes, anchors, count, scales, encodings);
}

cudaError_t DecodeFasterRcnn(const float* encodings, const Box* anchors, int64_t count,
                             const BoxScales& scales, Box* boxes, cudaStream_t stream) {
  return ForEach(count, DecodeFasterRcnnKernel, stream, encodings, anchors, count, scales, boxes);
}

cudaError_t EncodeKeypoints(const Box* boxes, const float* keypoints, const Box* anchors,
                            int64_t count, int64_t num_keypoints, const BoxScales& scales,
                            float* encodings, cudaStream_t stream) {
  return ForEach(count, EncodeKeypointsKernel, stream, boxes, keypoints, anchors, count,
                 num_keypoints, scales, encodings);
}

cudaError_t DecodeKeypoints(const float* encodings, const Box* anchors, int64_t count,
                            int64_t num_keypoints, const BoxScales& scales, Box* boxes,
                            float* keypoints, cudaStream_t stream) {
  return ForEach(count, DecodeKeypointsKernel, stream, encodings, anchors, count, num_keypoints,
                 scales, boxes, keypoints);
}

cudaError_t EncodeSquare(const Box* boxes, const Box* anchors, int64_t count,
                         const BoxScales& scales, float* encodings, cudaStream_t stream) {
  return ForEach(count, EncodeSquareKernel, stream, boxes, anchors, count, scales, encodings);
}

cudaError_t DecodeSquare(const float* encodings, const Box* anchors, int64_t count,
                         const BoxScales& scales, Box* boxes, cudaStream_t stream) {
  return ForEach(count, DecodeSquareKernel, stream, encodings, anchors, count, scales, boxes);
}

cudaError_t EncodeMeanStddev(const Box* boxes, const Box* anchors, int64_t count, float stddev,
                             float* encodings, cudaStream_t stream) {
  return ForEach(4 * count, EncodeCornersKernel, stream, Corners(boxes), Corners(anchors),
                 4 * count, stddev, encodings);
}

cudaError_t DecodeMeanStddev(const float* encodings, const Box* anchors, int64_t count,
                             float stddev, Box* boxes, cudaStream_t stream) {
  return ForEach(4 * count, DecodeCornersKernel, stream, encodings, Corners(anchors), 4 * count,
                 stddev, reinterpret_cast<float*>(boxes));
}

}  // namespace cuda
}  // namespace roadmark
