// Detections drawn in place on an NV12 picture in GPU memory: the bytes of cc/annotate/annotate.h.
//
// Pointers, workspace, stream and errors are as in cc/nms/nms_cuda.h. Values cannot be refused from
// there: a box with NaN has neither frame nor tag, a point that is not finite leaves a gap in its
// trail or lies far outside, trails end where the points do, and a glyph whose bitmap is not within
// the coverage is blank.
#ifndef ROADMARK_CC_ANNOTATE_ANNOTATE_CUDA_H_
#define ROADMARK_CC_ANNOTATE_ANNOTATE_CUDA_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "cc/annotate/annotate.h"
#include "cc/annotate/canvas.h"
#include "cc/box.h"

namespace roadmark {
namespace cuda {

struct Nv12Picture {
  uint8_t* luma;                       // [height, width]
  uint8_t* chroma;                     // [ceil(height / 2), ceil(width / 2), 2]
  int64_t luma_stride, chroma_stride;  // Bytes from one row to the next.
  int64_t height, width;
  YuvEncoding encoding;
};

// Best first; what comes first is drawn on top. As roadmark::Objects otherwise.
struct Objects {
  int64_t capacity;
  const int32_t* count;         // [1]: objects from there on do not count. Null: all count.
  const Box* boxes;             // [capacity]
  const uint8_t* colours;       // [capacity, 3]
  const uint8_t* text_colours;  // [capacity, 3]
  const int32_t* labels;        // [capacity, label_length]: code points, up to the first 0.
  int64_t label_length;
  const uint8_t* masks;       // Bool [capacity, height, width] of the picture, or null.
  const Point* trail_points;  // [num_trail_points]
  int64_t num_trail_points;
  const int64_t* trail_ends;  // [capacity], or null for no trails.
};

struct DeviceGlyphAtlas {
  GlyphAtlas atlas;
  int64_t coverage_bytes;
};

int64_t AnnotateWorkspaceBytes(int64_t capacity, int64_t label_length);
cudaError_t Annotate(const Nv12Picture& picture, const Objects& objects,
                     const DeviceGlyphAtlas& atlas, const Style& style, void* workspace,
                     cudaStream_t stream);

}  // namespace cuda
}  // namespace roadmark

#endif  // ROADMARK_CC_ANNOTATE_ANNOTATE_CUDA_H_
