// Anchors arranged so that those which a box can overlap well are found without looking at the
// others.
//
// Anchors of about the same shape that lie side by side form a block, and neighbouring blocks a
// group. Of either the hull, the largest sides and the smallest area are known, which bounds the
// IoU that a box can have with anything inside. Every bound is computed with the operations of the
// IoU itself, and rounding is monotone, so a bound is never below the IoU that float32 gives.
#ifndef ROADMARK_CC_MATCHER_ANCHOR_INDEX_H_
#define ROADMARK_CC_MATCHER_ANCHOR_INDEX_H_

#include <cstdint>
#include <vector>

#include "cc/box.h"

namespace roadmark {

// Corners beyond this have areas that overflow.
constexpr float kLargestCorner = 1e18f;

// `kBlock` anchors, coordinate by coordinate. Unused places hold a box without area at the end.
struct AnchorBlock {
  static constexpr int64_t kSize = 32;
  float ymin[kSize], xmin[kSize], ymax[kSize], xmax[kSize], area[kSize];
  int32_t index[kSize];  // Of the anchor in the array that the index was made of.
};

// What bounds the IoU with anything in some blocks, or groups of blocks; one entry for each.
struct IouBounds {
  std::vector<float> ymin, xmin, ymax, xmax, height, width, area;
};

struct AnchorGroup {
  static constexpr int64_t kSize = 32;
  int64_t first_block, num_blocks;
};

class AnchorIndex {
 public:
  // Corners must be finite and at most kLargestCorner. Anchors without area overlap nothing and are
  // left out of the blocks.
  AnchorIndex(const Box* anchors, int64_t count);

  const std::vector<Box>& anchors() const { return anchors_; }
  const std::vector<AnchorBlock>& blocks() const { return blocks_; }
  const std::vector<AnchorGroup>& groups() const { return groups_; }

  // For each group, then for each block of group `group`: no anchor inside has a larger IoU with
  // `box`. `bounds` has room for groups().size() and AnchorGroup::kSize values.
  void BoundGroups(const Box& box, float* bounds) const;
  void BoundBlocks(const Box& box, const AnchorGroup& group, float* bounds) const;

 private:
  std::vector<Box> anchors_;
  std::vector<AnchorBlock> blocks_;
  std::vector<AnchorGroup> groups_;
  IouBounds block_bounds_, group_bounds_;
};

}  // namespace roadmark

#endif  // ROADMARK_CC_MATCHER_ANCHOR_INDEX_H_
