#include "cc/nms/kept_boxes.h"

#include <algorithm>

#include "cc/multiversion.h"
#include "cc/nms/overlap.h"

namespace roadmark {
namespace {

constexpr int kLanes = 16;
constexpr int kFields = 5;
constexpr int kBlockFloats = kLanes * kFields;

ROADMARK_KERNEL float LaneIou(const float* __restrict block, int lane, const BoxWithArea& other) {
  const BoxWithArea kept = {
      {block[lane], block[kLanes + lane], block[2 * kLanes + lane], block[3 * kLanes + lane]},
      block[4 * kLanes + lane]};
  return Iou(kept, other);
}

struct AnyOverlapsKernel {
  ROADMARK_KERNEL bool Run(const float* __restrict blocks, int64_t count, BoxWithArea other,
                           float threshold) {
    for (int64_t block = 0; block < count; ++block, blocks += kBlockFloats) {
      int overlaps = 0;
      for (int lane = 0; lane < kLanes; ++lane) {
        overlaps |= LaneIou(blocks, lane, other) > threshold;
      }
      if (overlaps) return true;
    }
    return false;
  }
};

struct IousKernel {
  ROADMARK_KERNEL void Run(const float* __restrict block, BoxWithArea other,
                           float* __restrict ious) {
    for (int lane = 0; lane < kLanes; ++lane) ious[lane] = LaneIou(block, lane, other);
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
