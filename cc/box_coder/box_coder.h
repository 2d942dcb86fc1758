// Box encodings relative to anchors, and back.
//
// Boxes and anchors are [ymin, xmin, ymax, xmax], both normalised or both in pixels. Formulas are
// those of object_detection/box_coders, in float32 and in the same order of operations; exp and log
// are cc/math.h's, with the logarithm of box sizes being TensorFlow's to the bit. Nothing is
// clipped or checked: a NaN or an inverted anchor gives NaN or inverted boxes. `encodings` and
// outputs must not overlap.
#ifndef ROADMARK_CC_BOX_CODER_BOX_CODER_H_
#define ROADMARK_CC_BOX_CODER_BOX_CODER_H_

#include <cmath>
#include <cstdint>

#include "cc/box.h"
#include "cc/math.h"

namespace roadmark {

// Factors that encodings are multiplied by; for targets of similar variance.
struct BoxScales {
  float y, x, height, width;
};

struct CenterAndSize {
  float ycenter, xcenter, height, width;
};

ROADMARK_INLINE CenterAndSize CenterAndSizeOf(const Box& box) {
  const float height = box.ymax - box.ymin, width = box.xmax - box.xmin;
  return {box.ymin + height / 2.0f, box.xmin + width / 2.0f, height, width};
}

ROADMARK_INLINE Box CornersOf(const CenterAndSize& c) {
  const float half_height = c.height / 2.0f, half_width = c.width / 2.0f;
  return {c.ycenter - half_height, c.xcenter - half_width, c.ycenter + half_height,
          c.xcenter + half_width};
}

// Faster R-CNN (https://arxiv.org/abs/1506.01497, section 3.1.2): encodings are (ty, tx, th, tw).
// Its two directions do not meet, so it is written for one of them.
struct Interval {
  float low, high;
};

ROADMARK_INLINE Interval DecodeInterval(float position, float size, const Interval& anchor,
                                        float position_scale, float size_scale) {
  const float length = anchor.high - anchor.low;
  const float center = position / position_scale * length + (anchor.low + length / 2.0f);
  const float half = Exp(size / size_scale) * length / 2.0f;
  return {center - half, center + half};
}

ROADMARK_INLINE Box DecodeFasterRcnn(const float* encoding, const Box& anchor,
                                     const BoxScales& scales) {
  const Interval y =
      DecodeInterval(encoding[0], encoding[2], {anchor.ymin, anchor.ymax}, scales.y, scales.height);
  const Interval x =
      DecodeInterval(encoding[1], encoding[3], {anchor.xmin, anchor.xmax}, scales.x, scales.width);
  return {y.low, x.low, y.high, x.high};
}

// Keeps division and logarithm finite for boxes and anchors without area.
constexpr float kBoxEpsilon = 1e-8f;

struct IntervalEncoding {
  float position, size;
};

ROADMARK_INLINE IntervalEncoding EncodeInterval(const Interval& box, const Interval& anchor,
                                                float position_scale, float size_scale) {
  const float anchor_size = anchor.high - anchor.low, box_size = box.high - box.low;
  const float shift = (box.low + box_size / 2.0f) - (anchor.low + anchor_size / 2.0f);
  const float length = anchor_size + kBoxEpsilon;
  // Targets of training: the bits of the graph that they stand in for.
  return {shift / length * position_scale,
          LogAsTensorFlow((box_size + kBoxEpsilon) / length) * size_scale};
}

ROADMARK_INLINE void EncodeFasterRcnn(const Box& box, const Box& anchor, const BoxScales& scales,
                                      float* encoding) {
  const IntervalEncoding y =
      EncodeInterval({box.ymin, box.ymax}, {anchor.ymin, anchor.ymax}, scales.y, scales.height);
  const IntervalEncoding x =
      EncodeInterval({box.xmin, box.xmax}, {anchor.xmin, anchor.xmax}, scales.x, scales.width);
  encoding[0] = y.position;
  encoding[1] = x.position;
  encoding[2] = y.size;
  encoding[3] = x.size;
}

ROADMARK_INLINE void EncodeKeypoint(const float* keypoint, const Box& anchor,
                                    const BoxScales& scales, float* encoding) {
  const CenterAndSize a = CenterAndSizeOf(anchor);
  encoding[0] = (keypoint[0] - a.ycenter) / (a.height + kBoxEpsilon) * scales.y;
  encoding[1] = (keypoint[1] - a.xcenter) / (a.width + kBoxEpsilon) * scales.x;
}

ROADMARK_INLINE void DecodeKeypoint(const float* encoding, const Box& anchor,
                                    const BoxScales& scales, float* keypoint) {
  const CenterAndSize a = CenterAndSizeOf(anchor);
  keypoint[0] = encoding[0] / scales.y * a.height + a.ycenter;
  keypoint[1] = encoding[1] / scales.x * a.width + a.xcenter;
}

ROADMARK_INLINE void EncodeSquare(const Box& box, const Box& anchor, const BoxScales& scales,
                                  float* encoding) {
  const CenterAndSize a = CenterAndSizeOf(anchor), b = CenterAndSizeOf(box);
  const float side_a = std::sqrt(a.height * a.width) + kBoxEpsilon;
  const float side = std::sqrt(b.height * b.width) + kBoxEpsilon;
  encoding[0] = (b.ycenter - a.ycenter) / side_a * scales.y;
  encoding[1] = (b.xcenter - a.xcenter) / side_a * scales.x;
  encoding[2] = Log(side / side_a) * scales.height;
}

ROADMARK_INLINE Box DecodeSquare(const float* encoding, const Box& anchor,
                                 const BoxScales& scales) {
  const CenterAndSize a = CenterAndSizeOf(anchor);
  const float side_a = std::sqrt(a.height * a.width);
  const float side = Exp(encoding[2] / scales.height) * side_a;
  return CornersOf({encoding[0] / scales.y * side_a + a.ycenter,
                    encoding[1] / scales.x * side_a + a.xcenter, side, side});
}

// [count, 4] each.
void EncodeFasterRcnn(const Box* boxes, const Box* anchors, int64_t count, const BoxScales& scales,
                      float* encodings);
void DecodeFasterRcnn(const float* encodings, const Box* anchors, int64_t count,
                      const BoxScales& scales, Box* boxes);

// As Faster R-CNN, followed by (ty, tx) of each keypoint: encodings are [count, 4 + 2 * keypoints],
// keypoints [count, keypoints, 2] as (y, x).
void EncodeKeypoints(const Box* boxes, const float* keypoints, const Box* anchors, int64_t count,
                     int64_t num_keypoints, const BoxScales& scales, float* encodings);
void DecodeKeypoints(const float* encodings, const Box* anchors, int64_t count,
                     int64_t num_keypoints, const BoxScales& scales, Box* boxes, float* keypoints);

// Square boxes: encodings [count, 3] are (ty, tx, tl) in units of the square root of the anchor's
// area. `scales.height` is the factor of tl; `scales.width` plays no part.
void EncodeSquare(const Box* boxes, const Box* anchors, int64_t count, const BoxScales& scales,
                  float* encodings);
void DecodeSquare(const float* encodings, const Box* anchors, int64_t count,
                  const BoxScales& scales, Box* boxes);

// Corners' distance from the anchor's in units of `stddev`: [count, 4].
void EncodeMeanStddev(const Box* boxes, const Box* anchors, int64_t count, float stddev,
                      float* encodings);
void DecodeMeanStddev(const float* encodings, const Box* anchors, int64_t count, float stddev,
                      Box* boxes);

}  // namespace roadmark

#endif  // ROADMARK_CC_BOX_CODER_BOX_CODER_H_
