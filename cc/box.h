// A rectangle with sides along the axes.
#ifndef ROADMARK_CC_BOX_H_
#define ROADMARK_CC_BOX_H_

namespace roadmark {

// Normalised or in pixels, as the function that takes it says. Laid out as a row of a [N, 4] array.
struct Box {
  float ymin, xmin, ymax, xmax;
};
static_assert(sizeof(Box) == 4 * sizeof(float), "arrays of boxes are read in place");

}  // namespace roadmark

#endif  // ROADMARK_CC_BOX_H_
