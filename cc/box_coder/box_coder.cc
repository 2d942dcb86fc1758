#include "cc/box_coder/box_coder.h"

#include <cmath>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

// Keeps division and logarithm finite for boxes and anchors without area.
constexpr float kEpsilon = 1e-8f;

ROADMARK_KERNEL void EncodeBox(const Box& box, const Box& anchor, const BoxScales& scales,
                               float* __restrict encoding) {
  const CenterAndSize a = CenterAndSizeOf(anchor), b = CenterAndSizeOf(box);
  const float height = a.height + kEpsilon, width = a.width + kEpsilon;
  encoding[0] = (b.ycenter - a.ycenter) / height * scales.y;
  encoding[1] = (b.xcenter - a.xcenter) / width * scales.x;
  encoding[2] = Log((b.height + kEpsilon) / height) * scales.height;
  encoding[3] = Log((b.width + kEpsilon) / width) * scales.width;
}

struct EncodeBoxes {
  ROADMARK_KERNEL void Run(const Box* __restrict boxes, const Box* __restrict anchors,
                           int64_t count, BoxScales scales, float* __restrict encodings) {
    for (int64_t i = 0; i < count; ++i) {
      EncodeBox(boxes[i], anchors[i], scales, encodings + 4 * i);
    }
  }
};

struct DecodeBoxes {
  ROADMARK_KERNEL void Run(const float* __restrict encodings, const Box* __restrict anchors,
                           int64_t count, BoxScales scales, Box* __restrict boxes) {
    for (int64_t i = 0; i < count; ++i) {
      boxes[i] = DecodeFasterRcnn(encodings + 4 * i, anchors[i], scales);
    }
  }
};

struct EncodeSquares {
  ROADMARK_KERNEL void Run(const Box* __restrict boxes, const Box* __restrict anchors,
                           int64_t count, BoxScales scales, float* __restrict encodings) {
    for (int64_t i = 0; i < count; ++i) {
      const CenterAndSize a = CenterAndSizeOf(anchors[i]), b = CenterAndSizeOf(boxes[i]);
      const float side_a = std::sqrt(a.height * a.width) + kEpsilon;
      const float side = std::sqrt(b.height * b.width) + kEpsilon;
      encodings[3 * i] = (b.ycenter - a.ycenter) / side_a * scales.y;
      encodings[3 * i + 1] = (b.xcenter - a.xcenter) / side_a * scales.x;
      encodings[3 * i + 2] = Log(side / side_a) * scales.height;
    }
  }
};

struct DecodeSquares {
  ROADMARK_KERNEL void Run(const float* __restrict encodings, const Box* __restrict anchors,
                           int64_t count, BoxScales scales, Box* __restrict boxes) {
    for (int64_t i = 0; i < count; ++i) {
      const CenterAndSize a = CenterAndSizeOf(anchors[i]);
      const float side_a = std::sqrt(a.height * a.width);
      const float side = Exp(encodings[3 * i + 2] / scales.height) * side_a;
      boxes[i] = CornersOf({encodings[3 * i] / scales.y * side_a + a.ycenter,
                            encodings[3 * i + 1] / scales.x * side_a + a.xcenter, side, side});
    }
  }
};

struct EncodeCorners {
  ROADMARK_KERNEL void Run(const float* __restrict boxes, const float* __restrict anchors,
                           int64_t count, float stddev, float* __restrict encodings) {
    for (int64_t i = 0; i < count; ++i) encodings[i] = (boxes[i] - anchors[i]) / stddev;
  }
};

struct DecodeCorners {
  ROADMARK_KERNEL void Run(const float* __restrict encodings, const float* __restrict anchors,
                           int64_t count, float stddev, float* __restrict boxes) {
    for (int64_t i = 0; i < count; ++i) boxes[i] = encodings[i] * stddev + anchors[i];
  }
};

}  // namespace

void EncodeFasterRcnn(const Box* boxes, const Box* anchors, int64_t count, const BoxScales& scales,
                      float* encodings) {
  MultiVersion<EncodeBoxes>::Run(boxes, anchors, count, scales, encodings);
}

void DecodeFasterRcnn(const float* encodings, const Box* anchors, int64_t count,
                      const BoxScales& scales, Box* boxes) {
  MultiVersion<DecodeBoxes>::Run(encodings, anchors, count, scales, boxes);
}

void EncodeKeypoints(const Box* boxes, const float* keypoints, const Box* anchors, int64_t count,
                     int64_t num_keypoints, const BoxScales& scales, float* encodings) {
  for (int64_t i = 0; i < count; ++i) {
    EncodeBox(boxes[i], anchors[i], scales, encodings);
    encodings += 4;
    const CenterAndSize a = CenterAndSizeOf(anchors[i]);
    const float height = a.height + kEpsilon, width = a.width + kEpsilon;
    for (int64_t k = 0; k < num_keypoints; ++k, keypoints += 2, encodings += 2) {
      encodings[0] = (keypoints[0] - a.ycenter) / height * scales.y;
      encodings[1] = (keypoints[1] - a.xcenter) / width * scales.x;
    }
  }
}

void DecodeKeypoints(const float* encodings, const Box* anchors, int64_t count,
                     int64_t num_keypoints, const BoxScales& scales, Box* boxes, float* keypoints) {
  for (int64_t i = 0; i < count; ++i) {
    boxes[i] = DecodeFasterRcnn(encodings, anchors[i], scales);
    encodings += 4;
    const CenterAndSize a = CenterAndSizeOf(anchors[i]);
    for (int64_t k = 0; k < num_keypoints; ++k, keypoints += 2, encodings += 2) {
      keypoints[0] = encodings[0] / scales.y * a.height + a.ycenter;
      keypoints[1] = encodings[1] / scales.x * a.width + a.xcenter;
    }
  }
}

void EncodeSquare(const Box* boxes, const Box* anchors, int64_t count, const BoxScales& scales,
                  float* encodings) {
  MultiVersion<EncodeSquares>::Run(boxes, anchors, count, scales, encodings);
}

void DecodeSquare(const float* encodings, const Box* anchors, int64_t count,
                  const BoxScales& scales, Box* boxes) {
  MultiVersion<DecodeSquares>::Run(encodings, anchors, count, scales, boxes);
}

void EncodeMeanStddev(const Box* boxes, const Box* anchors, int64_t count, float stddev,
                      float* encodings) {
  MultiVersion<EncodeCorners>::Run(&boxes->ymin, &anchors->ymin, 4 * count, stddev, encodings);
}

void DecodeMeanStddev(const float* encodings, const Box* anchors, int64_t count, float stddev,
                      Box* boxes) {
  MultiVersion<DecodeCorners>::Run(encodings, &anchors->ymin, 4 * count, stddev, &boxes->ymin);
}

}  // namespace roadmark
