#include "cc/box_coder/box_coder.h"

#include <cstring>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

const float* Corners(const Box* boxes) { return reinterpret_cast<const float*>(boxes); }

// So many rows of [N, 4] at a time are taken apart into their first two and their last two columns:
// (y, x) of one corner, of the other, of positions or of sizes. Registers are full of equals then.
constexpr int64_t kRows = 32;

struct Halves {
  float first[2 * kRows], last[2 * kRows];
};

ROADMARK_KERNEL void Split(const float* __restrict rows, int64_t count, Halves* __restrict halves) {
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(halves->first + 2 * i, rows + 4 * i, 2 * sizeof(float));
    std::memcpy(halves->last + 2 * i, rows + 4 * i + 2, 2 * sizeof(float));
  }
}

ROADMARK_KERNEL void Join(const Halves& halves, int64_t count, float* __restrict rows) {
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(rows + 4 * i, halves.first + 2 * i, 2 * sizeof(float));
    std::memcpy(rows + 4 * i + 2, halves.last + 2 * i, 2 * sizeof(float));
  }
}

ROADMARK_KERNEL void Repeat(const BoxScales& scales, Halves* halves) {
  for (int64_t i = 0; i < kRows; ++i) {
    halves->first[2 * i] = scales.y;
    halves->first[2 * i + 1] = scales.x;
    halves->last[2 * i] = scales.height;
    halves->last[2 * i + 1] = scales.width;
  }
}

struct EncodeBoxes {
  ROADMARK_KERNEL void Run(const float* __restrict boxes, const float* __restrict anchors,
                           int64_t count, BoxScales scales, float* __restrict encodings) {
    Halves factors;
    Repeat(scales, &factors);
    const auto encode = [&](int64_t begin, int64_t rows) ROADMARK_INLINED {
      Halves box, anchor, encoding;
      Split(boxes + 4 * begin, rows, &box);
      Split(anchors + 4 * begin, rows, &anchor);
      for (int64_t i = 0; i < 2 * rows; ++i) {
        const IntervalEncoding one =
            EncodeInterval({box.first[i], box.last[i]}, {anchor.first[i], anchor.last[i]},
                           factors.first[i], factors.last[i]);
        encoding.first[i] = one.position;
        encoding.last[i] = one.size;
      }
      Join(encoding, rows, encodings + 4 * begin);
    };
    int64_t begin = 0;
    for (; begin + kRows <= count; begin += kRows) encode(begin, kRows);
    encode(begin, count - begin);
  }
};

struct DecodeBoxes {
  ROADMARK_KERNEL void Run(const float* __restrict encodings, const float* __restrict anchors,
                           int64_t count, BoxScales scales, float* __restrict boxes) {
    Halves factors;
    Repeat(scales, &factors);
    const auto decode = [&](int64_t begin, int64_t rows) ROADMARK_INLINED {
      Halves encoding, anchor, box;
      Split(encodings + 4 * begin, rows, &encoding);
      Split(anchors + 4 * begin, rows, &anchor);
      for (int64_t i = 0; i < 2 * rows; ++i) {
        const Interval one =
            DecodeInterval(encoding.first[i], encoding.last[i], {anchor.first[i], anchor.last[i]},
                           factors.first[i], factors.last[i]);
        box.first[i] = one.low;
        box.last[i] = one.high;
      }
      Join(box, rows, boxes + 4 * begin);
    };
    int64_t begin = 0;
    for (; begin + kRows <= count; begin += kRows) decode(begin, kRows);
    decode(begin, count - begin);
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
  MultiVersion<EncodeBoxes>::Run(Corners(boxes), Corners(anchors), count, scales, encodings);
}

void DecodeFasterRcnn(const float* encodings, const Box* anchors, int64_t count,
                      const BoxScales& scales, Box* boxes) {
  MultiVersion<DecodeBoxes>::Run(encodings, Corners(anchors), count, scales,
                                 reinterpret_cast<float*>(boxes));
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
