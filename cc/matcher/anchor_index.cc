#include "cc/matcher/anchor_index.h"

#include <algorithm>
#include <limits>

#include "cc/math.h"
#include "cc/multiversion.h"

namespace roadmark {
namespace {

struct Place {
  uint32_t shape, position;
  int32_t index;
};

bool operator<(const Place& a, const Place& b) {
  if (a.shape != b.shape) return a.shape < b.shape;
  return a.position != b.position ? a.position < b.position : a.index < b.index;
}

// Four lengths per doubling share a bucket. The offset keeps lengths such as 1/4 and 32, which
// rounding puts on either side of a power of two, away from a bucket's edge.
uint32_t LengthBucket(float length) { return (BitsFromFloat(length) + 0x0a3d70u) >> 21; }

// Spreads 16 bits over the even bits of 32.
uint32_t SpreadBits(uint32_t bits) {
  bits = (bits | (bits << 8)) & 0x00ff00ffu;
  bits = (bits | (bits << 4)) & 0x0f0f0f0fu;
  bits = (bits | (bits << 2)) & 0x33333333u;
  return (bits | (bits << 1)) & 0x55555555u;
}

// Along a Z-order curve, on which close numbers are close places.
class Curve {
 public:
  explicit Curve(const std::vector<Box>& anchors) {
    for (const Box& anchor : anchors) {
      low_y_ = std::min(low_y_, anchor.ymin + anchor.ymax);
      high_y_ = std::max(high_y_, anchor.ymin + anchor.ymax);
      low_x_ = std::min(low_x_, anchor.xmin + anchor.xmax);
      high_x_ = std::max(high_x_, anchor.xmin + anchor.xmax);
    }
  }

  uint32_t At(const Box& anchor) const {
    return SpreadBits(Step(anchor.ymin + anchor.ymax, low_y_, high_y_)) << 1 |
           SpreadBits(Step(anchor.xmin + anchor.xmax, low_x_, high_x_));
  }

 private:
  static uint32_t Step(float value, float low, float high) {
    return high > low ? static_cast<uint32_t>((value - low) / (high - low) * 65535.0f) : 0;
  }

  float low_y_ = std::numeric_limits<float>::infinity(), high_y_ = -low_y_;
  float low_x_ = low_y_, high_x_ = -low_y_;
};

std::vector<Place> Places(const std::vector<Box>& anchors) {
  const Curve curve(anchors);
  std::vector<Place> places;
  places.reserve(anchors.size());
  for (size_t i = 0; i < anchors.size(); ++i) {
    const Box& anchor = anchors[i];
    const float height = anchor.ymax - anchor.ymin, width = anchor.xmax - anchor.xmin;
    if (!(height > 0 && width > 0)) continue;
    const uint32_t shape = LengthBucket(height) << 16 | LengthBucket(width);
    places.push_back({shape, curve.At(anchor), static_cast<int32_t>(i)});
  }
  std::sort(places.begin(), places.end());
  return places;
}

AnchorBlock MakeBlock(const std::vector<Box>& anchors, const Place* places, int64_t count) {
  AnchorBlock block = {};
  for (int64_t k = 0; k < count; ++k) {
    const Box& anchor = anchors[places[k].index];
    block.ymin[k] = anchor.ymin;
    block.xmin[k] = anchor.xmin;
    block.ymax[k] = anchor.ymax;
    block.xmax[k] = anchor.xmax;
    block.area[k] = (anchor.ymax - anchor.ymin) * (anchor.xmax - anchor.xmin);
    block.index[k] = places[k].index;
  }
  std::fill(block.index + count, block.index + AnchorBlock::kSize,
            std::numeric_limits<int32_t>::max());
  return block;
}

struct Bound {
  float ymin, xmin, ymax, xmax, height, width, area;
};

Bound BoundOf(const AnchorBlock& block, int64_t count) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Bound bound = {kInfinity, kInfinity, -kInfinity, -kInfinity, 0, 0, kInfinity};
  for (int64_t k = 0; k < count; ++k) {
    bound.ymin = std::min(bound.ymin, block.ymin[k]);
    bound.xmin = std::min(bound.xmin, block.xmin[k]);
    bound.ymax = std::max(bound.ymax, block.ymax[k]);
    bound.xmax = std::max(bound.xmax, block.xmax[k]);
    bound.height = std::max(bound.height, block.ymax[k] - block.ymin[k]);
    bound.width = std::max(bound.width, block.xmax[k] - block.xmin[k]);
    bound.area = std::min(bound.area, block.area[k]);
  }
  return bound;
}

Bound Join(const Bound& a, const Bound& b) {
  return {std::min(a.ymin, b.ymin), std::min(a.xmin, b.xmin),     std::max(a.ymax, b.ymax),
          std::max(a.xmax, b.xmax), std::max(a.height, b.height), std::max(a.width, b.width),
          std::min(a.area, b.area)};
}

void Append(const Bound& bound, IouBounds* bounds) {
  bounds->ymin.push_back(bound.ymin);
  bounds->xmin.push_back(bound.xmin);
  bounds->ymax.push_back(bound.ymax);
  bounds->xmax.push_back(bound.xmax);
  bounds->height.push_back(bound.height);
  bounds->width.push_back(bound.width);
  bounds->area.push_back(bound.area);
}

struct ComputeBounds {
  ROADMARK_KERNEL void Run(const Box* box, const IouBounds* of, int64_t first, int64_t count,
                           float* __restrict bounds) {
    const float ymin = box->ymin, xmin = box->xmin, ymax = box->ymax, xmax = box->xmax;
    const float box_height = ymax - ymin, box_width = xmax - xmin;
    const float box_area = box_height * box_width;
    const float* __restrict low_y = of->ymin.data() + first, * __restrict low_x =
                                                                 of->xmin.data() + first;
    const float* __restrict high_y = of->ymax.data() + first, * __restrict high_x =
                                                                  of->xmax.data() + first;
    const float* __restrict height = of->height.data() + first;
    const float* __restrict width = of->width.data() + first;
    const float* __restrict area = of->area.data() + first;
    for (int64_t i = 0; i < count; ++i) {
      const float bottom = ymax < high_y[i] ? ymax : high_y[i];
      const float right = xmax < high_x[i] ? xmax : high_x[i];
      const float top = ymin > low_y[i] ? ymin : low_y[i];
      const float left = xmin > low_x[i] ? xmin : low_x[i];
      const float in_hull_y = bottom - top, in_hull_x = right - left;
      const float overlap_y = in_hull_y < height[i] ? in_hull_y : height[i];
      const float overlap_x = in_hull_x < width[i] ? in_hull_x : width[i];
      const float overlap = overlap_y * overlap_x;
      const float bound = overlap / ((box_area + area[i]) - overlap);
      const bool apart = overlap_y <= 0.0f || overlap_x <= 0.0f || overlap <= 0.0f;
      bounds[i] = apart ? 0.0f : bound;
    }
  }
};

}  // namespace

AnchorIndex::AnchorIndex(const Box* anchors, int64_t count) : anchors_(anchors, anchors + count) {
  const std::vector<Place> places = Places(anchors_);
  for (size_t first = 0; first < places.size();) {
    const auto first_block = static_cast<int64_t>(blocks_.size());
    const uint32_t shape = places[first].shape;
    Bound group = {};
    for (int64_t n = 0; n < AnchorGroup::kSize; ++n) {
      size_t last = first;
      while (last < places.size() && places[last].shape == shape &&
             last < first + AnchorBlock::kSize) {
        ++last;
      }
      if (last == first) break;
      const auto size = static_cast<int64_t>(last - first);
      blocks_.push_back(MakeBlock(anchors_, &places[first], size));
      const Bound bound = BoundOf(blocks_.back(), size);
      Append(bound, &block_bounds_);
      group = n == 0 ? bound : Join(group, bound);
      first = last;
    }
    groups_.push_back({first_block, static_cast<int64_t>(blocks_.size()) - first_block});
    Append(group, &group_bounds_);
  }
}

void AnchorIndex::BoundGroups(const Box& box, float* bounds) const {
  MultiVersion<ComputeBounds>::Run(&box, &group_bounds_, int64_t{0},
                                   static_cast<int64_t>(groups_.size()), bounds);
}

void AnchorIndex::BoundBlocks(const Box& box, const AnchorGroup& group, float* bounds) const {
  MultiVersion<ComputeBounds>::Run(&box, &block_bounds_, group.first_block, group.num_blocks,
                                   bounds);
}

}  // namespace roadmark
