// Arguments that several operations take.
#ifndef ROADMARK_CC_PYTHON_ARGUMENTS_H_
#define ROADMARK_CC_PYTHON_ARGUMENTS_H_

#include <array>
#include <cstdint>
#include <utility>

#include "cc/annotate/annotate.h"
#include "cc/box.h"
#include "cc/box_coder/box_coder.h"
#include "cc/nms/nms.h"
#include "cc/python/array.h"

namespace roadmark {

using Floats = pybind11::array_t<float, pybind11::array::c_style>;

inline const Box* AsBoxes(const Floats& array) {
  return reinterpret_cast<const Box*>(array.data());
}

// Each of these raises ValueError, naming the argument, where it is out of range.

// Ranks of candidates are 32 bits wide.
void RequireCandidates(int64_t count, int64_t num_classes, const char* name);

NmsOptions CheckedNmsOptions(float score_threshold, float iou_threshold, float soft_nms_sigma,
                             int64_t max_per_class, int64_t max_total);

BoxScales CheckedScales(const std::array<float, 4>& factors);

// `luma_weights` are those of red and blue.
YuvEncoding CheckedEncoding(std::pair<double, double> luma_weights, bool full_range);

Style CheckedStyle(int64_t line_width, int64_t trail_width, int64_t margin, int64_t opacity,
                   int64_t mask_opacity);

}  // namespace roadmark

#endif  // ROADMARK_CC_PYTHON_ARGUMENTS_H_
