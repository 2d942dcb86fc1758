#include <limits>

#include "cc/math.h"
#include "cc/nms/candidates_cuda.h"
#include "cc/nms/selection_cuda.h"
#include "cc/nms/suppression_cuda.h"
#include "cc/postprocess/postprocess_cuda.h"
#include "cc/postprocess/window.h"

namespace roadmark {
namespace cuda {
namespace {

constexpr int kThreads = 256;
// As many as the CPU's softmax adds up side by side: the same additions in the same order.
constexpr int kLanes = 16;
constexpr int kRowsPerBlock = kThreads / kLanes;

__device__ float LanesMaximum(float value) {
  for (int step = kLanes / 2; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(kFullWarp, value, step);
    value = other > value ? other : value;
  }
  return value;
}

// Softmax over each row; scores are [rows, columns - first_column]. Rows where no such column can
// have a score above the threshold become NaN, which is no candidate.
__global__ void __launch_bounds__(kThreads)
    SoftmaxKernel(const float* logits, int64_t rows, int64_t columns, int64_t first_column,
                  float multiplier, float threshold, float* scores) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  int64_t row = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kLanes;
  const bool inside = row < rows;
  row = inside ? row : rows - 1;  // Two rows share a warp, which works in step.
  const int64_t classes = columns - first_column;
  logits += row * columns;
  scores += row * classes;
  const auto maximum = [&](int64_t begin, int64_t end) {
    float largest = -std::numeric_limits<float>::infinity();
    for (int64_t c = begin + lane; c < end; c += kLanes) {
      largest = logits[c] > largest ? logits[c] : largest;
    }
    return LanesMaximum(largest);
  };
  const float best = maximum(first_column, columns);
  const float background = maximum(0, first_column);
  const float largest = background > best ? background : best;
  const auto exponent = [&](int64_t c) { return Exp((logits[c] - largest) * multiplier); };
  float own_sum = 0;
  for (int64_t c = lane; c < columns; c += kLanes) own_sum += exponent(c);
  float sum = 0;
  for (int other = 0; other < kLanes; ++other) {
    sum += __shfl_sync(kFullWarp, own_sum, other, kLanes);
  }
  // The denominator is 1 or more, so this bounds every score of the row.
  const bool passes = Exp((best - largest) * multiplier) > threshold;
  if (!inside) return;
  for (int64_t k = lane; k < classes; k += kLanes) {
    scores[k] = passes ? exponent(first_column + k) / sum : std::numeric_limits<float>::quiet_NaN();
  }
}

// `best_classes` is null, or [images, rows] with the class of each row: there is one segment.
struct DecodedBoxes {
  RawBatch raw;
  BoxScales scales;
  const int32_t* best_classes;

  __device__ int64_t ClassOf(int64_t image, int64_t class_index, int64_t row) const {
    return best_classes ? best_classes[image * raw.count + row] : class_index;
  }
  __device__ Box BoxOf(int64_t image, int64_t class_index, int64_t row) const {
    const int64_t line = image * raw.count + row;
    const int64_t box =
        raw.boxes_per_row == 1 ? line : line * raw.boxes_per_row + ClassOf(image, class_index, row);
    return roadmark::DecodeFasterRcnn(raw.box_encodings + 4 * box,
                                      raw.anchors[raw.anchors_per_image ? line : row], scales);
  }
  __device__ bool Counts(const Box& box, int64_t image) const {
    return HasArea(ClipTo(box, raw.windows[image]));
  }
};

struct DetectionWriter {
  DecodedBoxes source;
  Detections detections;
  int64_t max_total;

  __device__ void Write(int64_t image, int64_t position, int64_t class_index, int64_t row,
                        float score) const {
    const Window window = source.raw.windows[image];
    const Box clipped = ClipTo(source.BoxOf(image, class_index, row), window);
    const int64_t at = image * max_total + position;
    detections.boxes[at] = Renormalise(clipped, window);
    detections.scores[at] = score;
    detections.classes[at] = static_cast<int32_t>(source.ClassOf(image, class_index, row));
    detections.rows[at] = row;
  }
  __device__ void WriteCount(int64_t image, int64_t count) const {
    detections.counts[image] = static_cast<int32_t>(count);
  }
};

// A block per place of a detection: blocks are [max_total, images].
__global__ void __launch_bounds__(kThreads)
    SelectMasksKernel(RawBatch raw, Detections detections, int64_t max_total) {
  const int64_t image = blockIdx.y, at = image * max_total + blockIdx.x;
  if (static_cast<int64_t>(blockIdx.x) >= detections.counts[image]) return;
  const int64_t own = raw.masks_per_row == 1 ? 0 : detections.classes[at];
  const int64_t row = image * raw.count + detections.rows[at];
  const float* logits = raw.mask_logits + (row * raw.masks_per_row + own) * raw.mask_size;
  float* probabilities = detections.masks + at * raw.mask_size;
  for (int64_t k = threadIdx.x; k < raw.mask_size; k += kThreads) {
    probabilities[k] = Sigmoid(logits[k]);
  }
}

struct Buffers {
  Segments segments;
  Kept kept;
  float* scores;  // Of softmax.
  uint32_t* compared;
  int32_t* best_classes;
};

Buffers TakeBuffers(const RawBatch& raw, const PostprocessOptions& options, Workspace* workspace) {
  Buffers buffers = {};
  buffers.segments =
      TakeSegments(raw.images, options.class_agnostic ? 1 : raw.num_classes, raw.count, workspace);
  const NmsOptions& nms = options.nms;
  // A kept box that has no area in the window is no result, but takes part all the same.
  buffers.kept =
      TakeKept(buffers.segments, options.class_agnostic ? nms.max_total : nms.max_per_class,
               nms.max_total, workspace);
  if (options.score_function == ScoreFunction::kSoftmax) {
    buffers.scores = workspace->Take<float>(raw.images * raw.count * raw.num_classes);
  }
  if (nms.soft_nms_sigma > 0) {
    buffers.compared =
        workspace->Take<uint32_t>(buffers.segments.count() * buffers.segments.chunks * kChunkRows);
  }
  if (options.class_agnostic) {
    buffers.best_classes = workspace->Take<int32_t>(raw.images * raw.count);
  }
  return buffers;
}

}  // namespace

int64_t PostprocessWorkspaceBytes(const RawBatch& raw, const PostprocessOptions& options) {
  Workspace workspace(nullptr);
  TakeBuffers(raw, options, &workspace);
  return workspace.bytes();
}

cudaError_t Postprocess(const RawBatch& raw, const PostprocessOptions& options, void* buffer,
                        const Detections& detections, cudaStream_t stream) {
  const NmsOptions& nms = options.nms;
  if (raw.count == 0 || nms.max_total == 0 || (nms.max_per_class == 0 && !options.class_agnostic)) {
    return cudaMemsetAsync(detections.counts, 0,
                           sizeof(*detections.counts) * static_cast<size_t>(raw.images), stream);
  }
  Workspace workspace(buffer);
  const Buffers buffers = TakeBuffers(raw, options, &workspace);
  const int64_t first_column = options.background_column ? 1 : 0;
  ScoreMatrix matrix = {raw.class_logits,
                        raw.num_classes + first_column,
                        first_column,
                        options.score_function == ScoreFunction::kSigmoid
                            ? ScoreConverter::kSigmoid
                            : ScoreConverter::kIdentity,
                        static_cast<float>(1.0 / options.logit_scale),
                        nms.score_threshold,
                        raw.counts};
  if (options.score_function == ScoreFunction::kSoftmax) {
    const int64_t rows = raw.images * raw.count;
    const dim3 grid(static_cast<unsigned>(DivideUp(rows, kRowsPerBlock)));
    ROADMARK_RETURN_IF_ERROR(Launch(SoftmaxKernel, grid, kThreads, stream, matrix.logits, rows,
                                    matrix.columns, first_column, matrix.multiplier,
                                    matrix.threshold, buffers.scores));
    matrix.logits = buffers.scores;
    matrix.columns = raw.num_classes;
    matrix.first_column = 0;
    matrix.multiplier = 1.0f;
  }
  ROADMARK_RETURN_IF_ERROR(
      options.class_agnostic ? FillBestClass(matrix, buffers.segments, buffers.best_classes, stream)
                             : FillPerClass(matrix, buffers.segments, stream));
  const DecodedBoxes source = {raw, options.box_scales, buffers.best_classes};
  const DetectionWriter writer = {source, detections, nms.max_total};
  ROADMARK_RETURN_IF_ERROR(SuppressSegments(source, buffers.segments, nullptr, nms,
                                            buffers.compared, buffers.kept, writer, stream));
  if (raw.mask_logits == nullptr) return cudaSuccess;
  const dim3 places(static_cast<unsigned>(nms.max_total), static_cast<unsigned>(raw.images));
  return Launch(SelectMasksKernel, places, kThreads, stream, raw, detections, nms.max_total);
}

}  // namespace cuda
}  // namespace roadmark
