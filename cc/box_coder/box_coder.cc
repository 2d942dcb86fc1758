#include "cc/box_coder/box_coder.h"

#include "cc/multiversion.h"

namespace roadmark {
namespace {

struct EncodeBoxes {
  ROADMARK_KERNEL void Run(const Box* __restrict boxes, const Box* __restrict anchors,
                           int64_t count, BoxScales scales, float* __restrict encodings) {
    for (int64_t i = 0; i < count; ++i) {
      EncodeFasterRcnn(boxes[i], anchors[i], scales, encodings + 4 * i);
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
      EncodeSquare(boxes[i], anchors[i], scales, encodings + 3 * i);
    }
  }
};

struct DecodeSquares {
  ROADMARK_KERNEL void Run(const float* __restrict encodings, const Box* __restrict anchors,
                           int64_t count, BoxScales scales, Box* __restrict boxes) {
    for (int64_t i = 0; i < count; ++i) {
      boxes[i] = DecodeSquare(encodings + 3 * i, anchors[i], scales);
    }
  }
};

const float* Corners(const Box* boxes) { return reinterpret_cast<const float*>(boxes); }

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
    EncodeFasterRcnn(boxes[i], anchors[i], scales, encodings);
    encodings += 4;
    for (int64_t k = 0; k < num_keypoints; ++k, keypoints += 2, encodings += 2) {
      EncodeKeypoint(keypoints, anchors[i], scales, encodings);
    }
  }
}

void DecodeKeypoints(const float* encodings, const Box* anchors, int64_t count,
                     int64_t num_keypoints, const BoxScales& scales, Box* boxes, float* keypoints) {
  for (int64_t i = 0; i < count; ++i) {
    boxes[i] = DecodeFasterRcnn(encodings, anchors[i], scales);
    encodings += 4;
    for (int64_t k = 0; k < num_keypoints; ++k, keypoints += 2, encodings += 2) {
      DecodeKeypoint(encodings, anchors[i], scales, keypoints);
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
  MultiVersion<EncodeCorners>::Run(Corners(boxes), Corners(anchors), 4 * count, stddev, encodings);
}

void DecodeMeanStddev(const float* encodings, const Box* anchors, int64_t count, float stddev,
                      Box* boxes) {
  MultiVersion<DecodeCorners>::Run(encodings, Corners(anchors), 4 * count, stddev,
                                   reinterpret_cast<float*>(boxes));
}

}  // namespace roadmark
