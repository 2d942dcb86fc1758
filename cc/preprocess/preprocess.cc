#include "cc/preprocess/preprocess.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

constexpr int64_t kChannels = 3;

// Where one output line samples the input: between `before` and `after`, `weight` of the way.
struct Sample {
  int64_t before, after;
  float weight;
};

std::vector<Sample> Samples(int64_t size, int64_t resized) {
  std::vector<Sample> samples(resized);
  const float step = static_cast<float>(size) / static_cast<float>(resized);
  for (int64_t i = 0; i < resized; ++i) {
    const float position = static_cast<float>(i) * step;
    const int64_t before = std::min(static_cast<int64_t>(position), size - 1);
    samples[i] = {before, std::min(before + 1, size - 1), position - static_cast<float>(before)};
  }
  return samples;
}

// Per value of an output row (pixels times channels), for loops without a remainder.
struct RowPlan {
  std::vector<int32_t> before, after;  // Offsets into a row of the picture.
  std::vector<float> weight, mean, scale;
  bool only_before = true;  // All weights are 0.
};

RowPlan PlanRow(int64_t width, const InputFormat& format) {
  RowPlan plan;
  for (const Sample& sample : Samples(width, format.resized_width)) {
    plan.only_before &= sample.weight == 0.0f;
    for (int64_t c = 0; c < kChannels; ++c) {
      plan.before.push_back(static_cast<int32_t>(sample.before * kChannels + c));
      plan.after.push_back(static_cast<int32_t>(sample.after * kChannels + c));
      plan.weight.push_back(sample.weight);
      plan.mean.push_back(format.mean[c]);
      plan.scale.push_back(format.scale[c]);
    }
  }
  return plan;
}

struct Pick {
  ROADMARK_KERNEL void Run(const uint8_t* __restrict row, const int32_t* __restrict before,
                           int64_t count, float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(row[before[i]]);
  }
};

struct PickBetween {
  ROADMARK_KERNEL void Run(const uint8_t* __restrict row, const int32_t* __restrict before,
                           const int32_t* __restrict after, const float* __restrict weight,
                           int64_t count, float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) {
      const float left = static_cast<float>(row[before[i]]);
      const float right = static_cast<float>(row[after[i]]);
      out[i] = left + (right - left) * weight[i];
    }
  }
};

struct Normalise {
  ROADMARK_KERNEL void Run(const float* __restrict upper, const float* __restrict mean,
                           const float* __restrict scale, int64_t count, float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) out[i] = (upper[i] - mean[i]) * scale[i];
  }
};

struct NormaliseBetween {
  ROADMARK_KERNEL void Run(const float* __restrict upper, const float* __restrict lower,
                           float weight, const float* __restrict mean,
                           const float* __restrict scale, int64_t count, float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) {
      const float value = upper[i] + (lower[i] - upper[i]) * weight;
      out[i] = (value - mean[i]) * scale[i];
    }
  }
};

// Rows of the picture at the output's width. Output rows go down the picture, so that the last two
// are all that is ever needed again.
class ResizedRows {
 public:
  ResizedRows(const Picture& picture, const RowPlan& plan)
      : picture_(picture), plan_(plan), older_(plan.before.size()), newer_(plan.before.size()) {}

  // The result is valid until the next but one call.
  const float* Row(int64_t y) {
    if (y == newer_y_) return newer_.data();
    if (y == older_y_) return older_.data();
    std::swap(older_, newer_);
    older_y_ = std::exchange(newer_y_, y);
    const uint8_t* row = picture_.pixels + y * picture_.width * kChannels;
    const auto count = static_cast<int64_t>(plan_.before.size());
    if (plan_.only_before) {
      MultiVersion<Pick>::Run(row, plan_.before.data(), count, newer_.data());
    } else {
      MultiVersion<PickBetween>::Run(row, plan_.before.data(), plan_.after.data(),
                                     plan_.weight.data(), count, newer_.data());
    }
    return newer_.data();
  }

 private:
  const Picture& picture_;
  const RowPlan& plan_;
  std::vector<float> older_, newer_;
  int64_t older_y_ = -1, newer_y_ = -1;
};

float* Pad(const float* pad_value, int64_t pixels, float* out) {
  for (int64_t i = 0; i < pixels; ++i) out = std::copy(pad_value, pad_value + kChannels, out);
  return out;
}

}  // namespace

void Preprocess(const Picture& picture, const InputFormat& format, float* out) {
  const RowPlan plan = PlanRow(picture.width, format);
  const auto count = static_cast<int64_t>(plan.before.size());
  ResizedRows rows(picture, plan);
  for (const Sample& sample : Samples(picture.height, format.resized_height)) {
    const float* upper = rows.Row(sample.before);
    if (sample.weight == 0.0f) {
      MultiVersion<Normalise>::Run(upper, plan.mean.data(), plan.scale.data(), count, out);
    } else {
      const float* lower = rows.Row(sample.after);
      MultiVersion<NormaliseBetween>::Run(upper, lower, sample.weight, plan.mean.data(),
                                          plan.scale.data(), count, out);
    }
    out = Pad(format.pad_value, format.width - format.resized_width, out + count);
  }
  Pad(format.pad_value, (format.height - format.resized_height) * format.width, out);
}

}  // namespace roadmark
