// Pictures to a network's input: resized, normalised and padded in one pass.
#ifndef ROADMARK_CC_PREPROCESS_PREPROCESS_H_
#define ROADMARK_CC_PREPROCESS_PREPROCESS_H_

#include <cstdint>

namespace roadmark {

// uint8 [height, width, 3] RGB in C order; neither side is 0.
struct Picture {
  const uint8_t* pixels;
  int64_t height, width;
};

struct InputFormat {
  int64_t height, width;                  // Of the network's input.
  int64_t resized_height, resized_width;  // Of the picture inside it; 1 up to those.
  float mean[3], scale[3];                // A channel becomes (value - mean) * scale.
  float pad_value[3];                     // What is right of and below the picture.
};

// Fills `out`, float32 [height, width, 3].
//
// Resizing is TensorFlow's legacy bilinear sampling (tf.compat.v1.image.resize_images): output
// pixel i samples the input at i * in / out, without half-pixel centres, in float32 and in
// TensorFlow's order of operations.
void Preprocess(const Picture& picture, const InputFormat& format, float* out);

}  // namespace roadmark

#endif  // ROADMARK_CC_PREPROCESS_PREPROCESS_H_
