#include "cc/nms/kept_boxes.h"

#include <algorithm>
#include <limits>

#include "cc/multiversion.h"
#include "cc/nms/overlap.h"

namespace roadmark {
namespace {

constexpr int kLanes = 16;
constexpr int kFields = 5;
constexpr int kBlockFloats = kLanes * kFields;

ROADMARK_KERNEL BoxWithArea LaneBox(const float* __restrict block, int lane) {
  return {{block[lane], block[kLanes + lane], block[2 * kLanes + lane], block[3 * kLanes + lane]},
          block[4 * kLanes + lane]};
}

struct AnyOverlapsKernel {
  ROADMARK_KERNEL bool Run(const float* __restrict blocks, int64_t count, BoxWithArea other,
                           float threshold) {
    // Dividing takes longer than all the rest, so first without: an IoU above the threshold has an
    // intersection of this share of the union or more. Rounding keeps the order of the two, even
    // of denormal numbers.
    const float share = threshold * (1.0f - 1e-6f);
    constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
    for (int64_t first = 0; first < count; first += kBlocksAtOnce) {
      const int64_t last = first + kBlocksAtOnce < count ? first + kBlocksAtOnce : count;
      int candidates[kLanes] = {};
      for (int64_t block = first; block < last; ++block) {
        for (int lane = 0; lane < kLanes; ++lane) {
          const Overlap overlap = OverlapOf(LaneBox(blocks + block * kBlockFloats, lane), other);
          candidates[lane] |= overlap.intersection >= Larger(share * overlap.union_area, kSmallest);
        }
      }
      int any = 0;
      for (int lane = 0; lane < kLanes; ++lane) any |= candidates[lane];
      if (any && AnyAbove(blocks + first * kBlockFloats, last - first, other, threshold)) {
        return true;
      }
    }
    return false;
  }

 private:
  static constexpr int64_t kBlocksAtOnce = 4;

  ROADMARK_KERNEL bool AnyAbove(const float* __restrict block, int64_t count,
                                const BoxWithArea& other, float threshold) {
    int above = 0;
    for (int64_t i = 0; i < count; ++i, block += kBlockFloats) {
      for (int lane = 0; lane < kLanes; ++lane) {
        above |= Iou(LaneBox(block, lane), other) > threshold;
      }
    }
    return above;
  }
};

struct IousKernel {
  ROADMARK_KERNEL void Run(const float* __restrict block, BoxWithArea other,
                           float* __restrict ious) {
    for (int lane = 0; lane < kLanes; ++lane) ious[lane] = Iou(LaneBox(block, lane), other);
  }
};

}  // namespace

void KeptBoxes::Add(const Box& box) {
  const int lane = static_cast<int>(size_ % kLanes);
  if (lane == 0) {
    const BoxWithArea nowhere = Nowhere();
    const float fields[kFields] = {nowhere.box.ymin, nowhere.box.xmin, nowhere.box.ymax,
                                   nowhere.box.xmax, nowhere.area};
    for (float field : fields) blocks_.insert(blocks_.end(), kLanes, field);
  }
  const BoxWithArea added = WithArea(box);
  float* block = blocks_.data() + size_ / kLanes * kBlockFloats;
  block[lane] = added.box.ymin;
  block[kLanes + lane] = added.box.xmin;
  block[2 * kLanes + lane] = added.box.ymax;
  block[3 * kLanes + lane] = added.box.xmax;
  block[4 * kLanes + lane] = added.area;
  ++size_;
}

bool KeptBoxes::AnyOverlaps(const Box& box, float threshold) const {
  const int64_t blocks = (size_ + kLanes - 1) / kLanes;
  return MultiVersion<AnyOverlapsKernel>::Run(blocks_.data(), blocks, WithArea(box), threshold);
}

void KeptBoxes::Ious(const Box& box, int64_t first, float* ious) const {
  const BoxWithArea other = WithArea(box);
  for (int64_t start = first / kLanes * kLanes; start < size_; start += kLanes) {
    float of_block[kLanes];
    MultiVersion<IousKernel>::Run(blocks_.data() + start / kLanes * kBlockFloats, other, of_block);
    const int64_t begin = std::max(first, start);
    const int64_t end = std::min(size_, start + kLanes);
    std::copy(of_block + (begin - start), of_block + (end - start), ious + (begin - first));
  }
}

}  // namespace roadmark
