#include "cc/python/arguments.h"

#include <cmath>
#include <limits>

namespace roadmark {

void RequireCandidates(int64_t count, int64_t num_classes, const char* name) {
  constexpr int64_t kLimit = std::numeric_limits<uint32_t>::max();
  Require(num_classes == 0 || count <= kLimit / num_classes, name, count * num_classes,
          "fewer than 2**32 scores");
}

NmsOptions CheckedNmsOptions(float score_threshold, float iou_threshold, float soft_nms_sigma,
                             int64_t max_per_class, int64_t max_total) {
  Require(!std::isnan(score_threshold), "score_threshold", score_threshold, "a number");
  Require(iou_threshold >= 0 && iou_threshold <= 1, "iou_threshold", iou_threshold, "0 to 1");
  Require(soft_nms_sigma >= 0 && std::isfinite(soft_nms_sigma), "soft_nms_sigma", soft_nms_sigma,
          "0 or more");
  Require(soft_nms_sigma == 0 || score_threshold >= 0, "score_threshold", score_threshold,
          "0 or more with soft_nms_sigma");
  Require(max_per_class >= 0, "max_per_class", max_per_class, "0 or more");
  Require(max_total >= 0, "max_total", max_total, "0 or more");
  return {score_threshold, iou_threshold, soft_nms_sigma, max_per_class, max_total};
}

BoxScales CheckedScales(const std::array<float, 4>& factors) {
  for (float factor : factors) {
    Require(factor > 0 && std::isfinite(factor), "scale_factors", factor, "factors above 0");
  }
  return {factors[0], factors[1], factors[2], factors[3]};
}

YuvEncoding CheckedEncoding(std::pair<double, double> luma_weights, bool full_range) {
  const auto [red, blue] = luma_weights;
  Require(red > 0 && blue > 0 && red + blue < 1, "luma_weights", luma_weights,
          "shares of red and blue above 0 that leave some for green");
  return {red, blue, full_range};
}

Style CheckedStyle(int64_t line_width, int64_t trail_width, int64_t margin, int64_t opacity,
                   int64_t mask_opacity) {
  constexpr int64_t kLimit = 1 << 16;
  Require(line_width > 0 && line_width < kLimit, "line_width", line_width, "1 to 65535");
  Require(trail_width > 0 && trail_width < kLimit, "trail_width", trail_width, "1 to 65535");
  Require(margin >= 0 && margin < kLimit, "margin", margin, "0 to 65535");
  Require(opacity >= 0 && opacity <= 255, "opacity", opacity, "0 to 255");
  Require(mask_opacity >= 0 && mask_opacity <= 255, "mask_opacity", mask_opacity, "0 to 255");
  return {line_width, trail_width, margin, static_cast<int>(opacity),
          static_cast<int>(mask_opacity)};
}

}  // namespace roadmark
