#include "cc/nms/candidates_cuda.h"
#include "cc/nms/dense_cuda.h"
#include "cc/nms/nms_cuda.h"
#include "cc/nms/suppression_cuda.h"

namespace roadmark {
namespace cuda {
namespace {

// `best_classes` is null, or [images, rows] with the class of each row: there is one segment.
struct GivenBoxes {
  const Box* boxes;
  int64_t rows, boxes_per_row;
  const int32_t* best_classes;

  __device__ int64_t ClassOf(int64_t image, int64_t class_index, int64_t row) const {
    return best_classes ? best_classes[image * rows + row] : class_index;
  }
  __device__ Box BoxOf(int64_t image, int64_t class_index, int64_t row) const {
    const int64_t box = (image * rows + row) * boxes_per_row;
    return boxes[boxes_per_row == 1 ? box : box + ClassOf(image, class_index, row)];
  }
  __device__ bool Counts(const Box&, int64_t) const { return true; }
};

struct SelectionWriter {
  GivenBoxes source;
  Selections selections;
  int64_t max_total;

  __device__ void Write(int64_t image, int64_t position, int64_t class_index, int64_t row,
                        float score) const {
    const int64_t at = image * max_total + position;
    selections.indices[at] = row;
    selections.classes[at] = static_cast<int32_t>(source.ClassOf(image, class_index, row));
    selections.scores[at] = score;
  }
  __device__ void WriteCount(int64_t image, int64_t count) const {
    selections.counts[image] = static_cast<int32_t>(count);
  }
};

int64_t Lower(int64_t a, int64_t b) { return a < b ? a : b; }

struct SegmentBuffers {
  Segments segments;
  Kept kept;
  uint64_t* bounds;
  uint32_t* compared;
  int32_t* best_classes;
};

SegmentBuffers TakeSegmentBuffers(int64_t images, int64_t classes, int64_t rows,
                                  bool class_agnostic, const NmsOptions& options,
                                  Workspace* workspace) {
  SegmentBuffers buffers = {};
  buffers.segments = TakeSegments(images, class_agnostic ? 1 : classes, rows, workspace);
  const int64_t limit =
      class_agnostic ? options.max_total : Lower(options.max_per_class, options.max_total);
  buffers.kept = TakeKept(buffers.segments, limit, limit, workspace);
  buffers.bounds = workspace->Take<uint64_t>(images);
  if (options.soft_nms_sigma > 0) {
    buffers.compared =
        workspace->Take<uint32_t>(buffers.segments.count() * buffers.segments.chunks * kChunkRows);
  }
  if (class_agnostic) buffers.best_classes = workspace->Take<int32_t>(images * rows);
  return buffers;
}

bool IsDense(int64_t count, const NmsOptions& options) {
  return count <= kMostDenseBoxes && !(options.soft_nms_sigma > 0);
}

cudaError_t SelectNothing(int64_t images, const Selections& selections, cudaStream_t stream) {
  return cudaMemsetAsync(selections.counts, 0,
                         sizeof(*selections.counts) * static_cast<size_t>(images), stream);
}

cudaError_t Select(const GivenBoxes& source, const SegmentBuffers& buffers, const uint64_t* bounds,
                   const NmsOptions& options, const Selections& selections, cudaStream_t stream) {
  const SelectionWriter writer = {source, selections, options.max_total};
  return SuppressSegments(source, buffers.segments, bounds, options, buffers.compared, buffers.kept,
                          writer, stream);
}

}  // namespace

int64_t NmsWorkspaceBytes(int64_t count, int64_t num_classes, const NmsOptions& options) {
  Workspace workspace(nullptr);
  if (IsDense(count, options)) {
    TakeDenseBuffers(count, num_classes, &workspace);
  } else {
    TakeSegmentBuffers(1, num_classes, count, false, options, &workspace);
  }
  return workspace.bytes();
}

cudaError_t Nms(const Box* boxes, const float* scores, const int32_t* classes, int64_t count,
                int64_t num_classes, const NmsOptions& options, void* buffer,
                const Selections& selections, cudaStream_t stream) {
  if (count == 0 || num_classes == 0 || options.max_total == 0 || options.max_per_class == 0) {
    return SelectNothing(1, selections, stream);
  }
  Workspace workspace(buffer);
  if (IsDense(count, options)) {
    const DenseBuffers buffers = TakeDenseBuffers(count, num_classes, &workspace);
    return DenseNms(boxes, scores, classes, count, num_classes, options, buffers, selections,
                    stream);
  }
  SegmentBuffers buffers = TakeSegmentBuffers(1, num_classes, count, false, options, &workspace);
  buffers.segments.rank_stride = 0;  // Of equal scores the lower index comes first.
  ROADMARK_RETURN_IF_ERROR(
      FillGivenClasses(scores, classes, options.score_threshold, buffers.segments, stream));
  return Select({boxes, count, 1, nullptr}, buffers, nullptr, options, selections, stream);
}

int64_t MulticlassNmsWorkspaceBytes(const ScoredBoxes& boxes, bool class_agnostic,
                                    const NmsOptions& options) {
  Workspace workspace(nullptr);
  TakeSegmentBuffers(boxes.images, boxes.num_classes, boxes.count, class_agnostic, options,
                     &workspace);
  return workspace.bytes();
}

cudaError_t MulticlassNms(const ScoredBoxes& boxes, int64_t max_candidates,
                          const NmsOptions& options, void* buffer, const Selections& selections,
                          cudaStream_t stream) {
  if (boxes.count == 0 || options.max_total == 0 || options.max_per_class == 0) {
    return SelectNothing(boxes.images, selections, stream);
  }
  Workspace workspace(buffer);
  const SegmentBuffers buffers =
      TakeSegmentBuffers(boxes.images, boxes.num_classes, boxes.count, false, options, &workspace);
  const ScoreMatrix scores = {
      boxes.scores, boxes.num_classes,       0,      ScoreConverter::kIdentity,
      1.0f,         options.score_threshold, nullptr};
  ROADMARK_RETURN_IF_ERROR(FillPerClass(scores, buffers.segments, stream));
  const uint64_t* bounds = nullptr;
  if (max_candidates > 0) {
    ROADMARK_RETURN_IF_ERROR(
        BoundCandidates(buffers.segments, max_candidates, buffers.bounds, stream));
    bounds = buffers.bounds;
  }
  const int64_t boxes_per_row = boxes.shared_boxes ? 1 : boxes.num_classes;
  return Select({boxes.boxes, boxes.count, boxes_per_row, nullptr}, buffers, bounds, options,
                selections, stream);
}

cudaError_t ClassAgnosticNms(const ScoredBoxes& boxes, const NmsOptions& options, void* buffer,
                             const Selections& selections, cudaStream_t stream) {
  if (boxes.count == 0 || options.max_total == 0) {
    return SelectNothing(boxes.images, selections, stream);
  }
  Workspace workspace(buffer);
  const SegmentBuffers buffers =
      TakeSegmentBuffers(boxes.images, boxes.num_classes, boxes.count, true, options, &workspace);
  const ScoreMatrix scores = {
      boxes.scores, boxes.num_classes,       0,      ScoreConverter::kIdentity,
      1.0f,         options.score_threshold, nullptr};
  ROADMARK_RETURN_IF_ERROR(FillBestClass(scores, buffers.segments, buffers.best_classes, stream));
  const int64_t boxes_per_row = boxes.shared_boxes ? 1 : boxes.num_classes;
  return Select({boxes.boxes, boxes.count, boxes_per_row, buffers.best_classes}, buffers, nullptr,
                options, selections, stream);
}

}  // namespace cuda
}  // namespace roadmark
