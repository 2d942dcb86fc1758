// Boxes and the part of a network's input that the picture fills.
#ifndef ROADMARK_CC_POSTPROCESS_WINDOW_H_
#define ROADMARK_CC_POSTPROCESS_WINDOW_H_

#include "cc/box.h"
#include "cc/math.h"

namespace roadmark {

// From the upper left corner of the network's input, normalised to that.
struct Window {
  float height, width;
};

// NaN stays NaN.
ROADMARK_INLINE float Clip(float value, float limit) {
  if (value < 0.0f) return 0.0f;
  return value > limit ? limit : value;
}

ROADMARK_INLINE Box ClipTo(const Box& box, const Window& window) {
  return {Clip(box.ymin, window.height), Clip(box.xmin, window.width),
          Clip(box.ymax, window.height), Clip(box.xmax, window.width)};
}

ROADMARK_INLINE bool HasArea(const Box& box) {
  const float height = box.ymax - box.ymin, width = box.xmax - box.xmin;
  return height > 0.0f && height * width > 0.0f;
}

// From the network's input to the picture.
ROADMARK_INLINE Box Renormalise(const Box& box, const Window& window) {
  return {box.ymin / window.height, box.xmin / window.width, box.ymax / window.height,
          box.xmax / window.width};
}

}  // namespace roadmark

#endif  // ROADMARK_CC_POSTPROCESS_WINDOW_H_
