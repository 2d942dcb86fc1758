// Masks of the size of their boxes, put where the boxes are in the picture.
//
// Samples as reframe_box_masks_to_image_masks of the OD API does with tf.image.crop_and_resize:
// pixel i of n lies at i / (n - 1) of the picture's side, or at 1/2 where n is 1; a mask's first
// and last samples lie on its box's edges; between samples values are interpolated, along y first.
#ifndef ROADMARK_CC_POSTPROCESS_PASTE_MASKS_H_
#define ROADMARK_CC_POSTPROCESS_PASTE_MASKS_H_

#include <cstdint>

#include "cc/box.h"

namespace roadmark {

struct BoxMasks {
  // [count, height, width] from 0 to 1; what lies beyond counts as 0 or 1, NaN as 0.
  const float* probabilities;
  const Box* boxes;  // [count], normalised to the picture; one without area covers no pixel.
  int64_t count;
  int64_t height, width;  // 1 or more.
};

// Sets each pixel in a box whose probability is above `threshold` to 1, and writes no other.
//   picture_height, picture_width: 0 to 2^24, up to which float32 counts pixels.
//   masks: [count, picture_height, picture_width], zeros.
void PasteMasks(const BoxMasks& box_masks, float threshold, int64_t picture_height,
                int64_t picture_width, int64_t threads, uint8_t* masks);

}  // namespace roadmark

#endif  // ROADMARK_CC_POSTPROCESS_PASTE_MASKS_H_
