#include "cc/postprocess/paste_masks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "cc/multiversion.h"
#include "cc/parallel.h"
#include "cc/postprocess/window.h"

namespace roadmark {
namespace {

// Where the pixels of one side of the picture lie between the samples of a mask. The box covers
// pixels begin to begin + weights.size() - 1. Those between samples k and k + 1 are a run.
struct Side {
  Side(float low, float high, int64_t pixels, int64_t num_samples);

  int64_t begin = 0;
  std::vector<int32_t> samples;                    // For each pixel, the sample at or before it.
  std::vector<float> weights;                      // And how far it is towards the next one.
  std::vector<int32_t> run_begins;                 // [num_samples + 1], counted from `begin`.
  std::vector<float> first_weights, last_weights;  // Of each run's first and last pixel.
};

Side::Side(float low, float high, int64_t pixels, int64_t num_samples)
    : run_begins(num_samples + 1), first_weights(num_samples), last_weights(num_samples) {
  // Rounding moves no pixel as far as the next one.
  const double most = static_cast<double>(pixels - 1);
  const auto first = static_cast<int64_t>(std::clamp(std::floor(low * most) - 1, 0.0, most));
  const auto last = static_cast<int64_t>(std::clamp(std::ceil(high * most) + 1, 0.0, most));
  for (int64_t pixel = first; pixel <= last; ++pixel) {
    const float at = pixels > 1 ? static_cast<float>(pixel) / static_cast<float>(pixels - 1) : 0.5f;
    const float in_box = (at - low) / (high - low);
    if (!(in_box >= 0.0f && in_box <= 1.0f)) continue;
    if (weights.empty()) begin = pixel;
    const float position = in_box * static_cast<float>(num_samples - 1);
    samples.push_back(static_cast<int32_t>(position));
    weights.push_back(position - static_cast<float>(samples.back()));
  }
  // Positions rise with the pixels, so that a run is one piece.
  const auto count = static_cast<int32_t>(weights.size());
  int32_t pixel = 0;
  for (int64_t k = 0; k < num_samples; ++k) {
    run_begins[k] = pixel;
    while (pixel < count && samples[pixel] == k) ++pixel;
    if (pixel == run_begins[k]) continue;
    first_weights[k] = weights[run_begins[k]];
    last_weights[k] = weights[pixel - 1];
  }
  run_begins[num_samples] = count;
}

// Whether a run's first and last pixels are above the threshold.
constexpr uint8_t kFirst = 1, kLast = 2;

// In a run, values rise or fall with the weight, rounding included. So where its first and last
// pixels agree all of them do, and where they do not there is one place to find.
struct PasteRows {
  // `values` [num_samples + 1] and `above` [num_samples] are working memory.
  ROADMARK_KERNEL void Run(const float* probabilities, int64_t num_samples, const Side* rows,
                           const Side* columns, float threshold, int64_t stride,
                           float* __restrict values, uint8_t* __restrict above, uint8_t* mask) {
    const float* __restrict first_weights = columns->first_weights.data();
    const float* __restrict last_weights = columns->last_weights.data();
    const auto last_row = static_cast<int64_t>(rows->first_weights.size()) - 1;
    for (size_t row = 0; row < rows->weights.size(); ++row, mask += stride) {
      const int64_t sample = rows->samples[row];
      const float weight = rows->weights[row];
      const float* before = probabilities + sample * num_samples;
      const float* after = sample < last_row ? before + num_samples : before;
      for (int64_t k = 0; k < num_samples; ++k) {
        values[k] = before[k] + (after[k] - before[k]) * weight;
      }
      values[num_samples] = values[num_samples - 1];
      uint8_t any = 0;
      for (int64_t k = 0; k < num_samples; ++k) {
        const float rise = values[k + 1] - values[k];
        const uint8_t first = values[k] + rise * first_weights[k] > threshold ? kFirst : 0;
        const uint8_t last = values[k] + rise * last_weights[k] > threshold ? kLast : 0;
        above[k] = first | last;
        any |= above[k];
      }
      if (any) SetPixels(*columns, values, above, threshold, mask);
    }
  }

  ROADMARK_KERNEL void SetPixels(const Side& columns, const float* values, const uint8_t* above,
                                 float threshold, uint8_t* mask) {
    const auto num_samples = static_cast<int64_t>(columns.first_weights.size());
    int32_t from = 0, to = 0;  // To be set; grows over runs that adjoin.
    for (int64_t k = 0; k < num_samples; ++k) {
      int32_t begin = columns.run_begins[k], end = columns.run_begins[k + 1];
      if (!above[k] || begin == end) continue;
      if (above[k] != (kFirst | kLast)) {
        const bool falls = above[k] == kFirst;
        int32_t same = begin, other = end - 1;
        while (other - same > 1) {
          const int32_t middle = (same + other) / 2;
          const float value = values[k] + (values[k + 1] - values[k]) * columns.weights[middle];
          ((value > threshold) == falls ? same : other) = middle;
        }
        (falls ? end : begin) = other;
      }
      if (begin != to) {
        std::memset(mask + from, 1, to - from);
        from = begin;
      }
      to = end;
    }
    std::memset(mask + from, 1, to - from);
  }
};

bool IsPlaced(const Box& box) {
  return HasArea(box) && std::isfinite(box.ymin) && std::isfinite(box.xmin) &&
         std::isfinite(box.ymax) && std::isfinite(box.xmax);
}

}  // namespace

void PasteMasks(const BoxMasks& box_masks, float threshold, int64_t picture_height,
                int64_t picture_width, int64_t threads, uint8_t* masks) {
  if (picture_height == 0 || picture_width == 0) return;
  const int64_t height = box_masks.height, width = box_masks.width;
  ParallelFor(box_masks.count, threads, [&](int64_t i) {
    const Box& box = box_masks.boxes[i];
    if (!IsPlaced(box)) return;
    const Side rows(box.ymin, box.ymax, picture_height, height);
    const Side columns(box.xmin, box.xmax, picture_width, width);
    if (rows.weights.empty() || columns.weights.empty()) return;
    const float* given = box_masks.probabilities + i * height * width;
    std::vector<float> probabilities(given, given + height * width), values(width + 1);
    for (float& p : probabilities) p = p > 0.0f ? (p < 1.0f ? p : 1.0f) : 0.0f;
    std::vector<uint8_t> above(width);
    uint8_t* mask = masks + (i * picture_height + rows.begin) * picture_width + columns.begin;
    MultiVersion<PasteRows>::Run(probabilities.data(), width, &rows, &columns, threshold,
                                 picture_width, values.data(), above.data(), mask);
  });
}

}  // namespace roadmark
