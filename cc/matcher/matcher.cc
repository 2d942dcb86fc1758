#include "cc/matcher/matcher.h"

#include <algorithm>
#include <atomic>

#include "cc/math.h"
#include "cc/multiversion.h"
#include "cc/parallel.h"

namespace roadmark {
namespace {

constexpr int64_t kBlock = AnchorBlock::kSize;

// The IoU of a box with the anchors of a block, in the OD API's order of operations. Returns the
// largest.
struct CompareBlock {
  ROADMARK_KERNEL float Run(const AnchorBlock* __restrict block, const Box* box, int32_t row,
                            float* __restrict ious, float* __restrict best_iou,
                            int32_t* __restrict best_row) {
    const float ymin = box->ymin, xmin = box->xmin, ymax = box->ymax, xmax = box->xmax;
    const float area = (ymax - ymin) * (xmax - xmin);
    for (int64_t k = 0; k < kBlock; ++k) {
      const float bottom = ymax < block->ymax[k] ? ymax : block->ymax[k];
      const float top = ymin > block->ymin[k] ? ymin : block->ymin[k];
      const float right = xmax < block->xmax[k] ? xmax : block->xmax[k];
      const float left = xmin > block->xmin[k] ? xmin : block->xmin[k];
      const float height = bottom - top, width = right - left;
      const float overlap = (height > 0.0f ? height : 0.0f) * (width > 0.0f ? width : 0.0f);
      const float ratio = overlap / ((area + block->area[k]) - overlap);
      ious[k] = overlap > 0.0f ? ratio : 0.0f;
    }
    for (int64_t k = 0; k < kBlock; ++k) {
      const bool better = ious[k] > best_iou[k];
      best_iou[k] = better ? ious[k] : best_iou[k];
      best_row[k] = better ? row : best_row[k];
    }
    float largest[8] = {};
    for (int64_t k = 0; k < kBlock; k += 8) {
      for (int64_t i = 0; i < 8; ++i) {
        largest[i] = ious[k + i] > largest[i] ? ious[k + i] : largest[i];
      }
    }
    return *std::max_element(largest, largest + 8);
  }
};

std::vector<float> Repeated(const float* label, int64_t num_classes) {
  // Some kilobytes: what is copied from stays in the first cache.
  const int64_t rows = num_classes ? std::max<int64_t>(1, 2048 / num_classes) : 0;
  std::vector<float> pattern;
  for (int64_t i = 0; i < rows; ++i) pattern.insert(pattern.end(), label, label + num_classes);
  return pattern;
}

void FillWith(const std::vector<float>& pattern, int64_t count, float* out) {
  if (std::all_of(pattern.begin(), pattern.end(), [](float x) { return BitsFromFloat(x) == 0; })) {
    std::fill_n(out, count, 0.0f);
    return;
  }
  const auto step = static_cast<int64_t>(pattern.size());
  for (; count > step; count -= step) out = std::copy(pattern.begin(), pattern.end(), out);
  std::copy_n(pattern.begin(), count, out);
}

}  // namespace

TargetAssigner::TargetAssigner(const AnchorIndex& index, const TargetOptions& options)
    : index_(index),
      options_(options),
      best_iou_(index.blocks().size() * kBlock),
      best_row_(best_iou_.size()),
      is_compared_(index.blocks().size()),
      group_bounds_(index.groups().size()),
      label_pattern_(Repeated(options.unmatched_label, options.num_classes)) {}

void TargetAssigner::Assign(const Groundtruth& groundtruth, const Targets& targets) {
  const auto num_anchors = static_cast<int64_t>(index_.anchors().size());
  if (num_anchors == 0) return;
  claims_.clear();
  matched_.clear();
  for (int64_t row = 0; row < groundtruth.count; ++row) {
    const bool force = options_.rules.force_match_for_each_row && groundtruth.weights[row] > 0.0f;
    const Claim claim = Search(groundtruth.boxes[row], static_cast<int32_t>(row), force);
    claims_.push_back({claim.iou, force ? claim.anchor : -1});
  }
  // An anchor that overlaps nothing has an IoU of 0 with the first box.
  const int32_t outcome = groundtruth.count ? Outcome(0.0f, 0) : kUnmatched;
  Fill(outcome, targets);
  if (outcome >= 0) {
    for (int64_t i = 0; i < num_anchors; ++i) matched_.push_back({static_cast<int32_t>(i), 0});
  }
  CollectCompared(targets);
  // Backwards: the first box that claims an anchor is the last to be written.
  for (int64_t row = groundtruth.count - 1; row >= 0; --row) {
    if (claims_[row].anchor < 0) continue;
    matched_.push_back({claims_[row].anchor, static_cast<int32_t>(row)});
  }
  WriteMatched(groundtruth, targets);
}

// Compares `box` with every anchor with which it may reach the unmatched threshold and, if
// `find_best`, finds the first of the anchors with the largest IoU.
TargetAssigner::Claim TargetAssigner::Search(const Box& box, int32_t row, bool find_best) {
  Claim best = {0.0f, 0};
  if (!(box.ymax > box.ymin && box.xmax > box.xmin)) return best;
  const float threshold = options_.rules.unmatched_threshold;
  index_.BoundGroups(box, group_bounds_.data());
  for (size_t g = 0; g < group_bounds_.size(); ++g) {
    if (group_bounds_[g] < threshold || group_bounds_[g] == 0.0f) continue;
    const AnchorGroup& group = index_.groups()[g];
    float bounds[AnchorGroup::kSize];
    index_.BoundBlocks(box, group, bounds);
    for (int64_t b = 0; b < group.num_blocks; ++b) {
      if (bounds[b] < threshold || bounds[b] == 0.0f) continue;
      Compare(group.first_block + b, box, row, find_best, &best);
    }
  }
  const bool is_found = best.iou > 0.0f && best.iou >= threshold;
  return is_found || !find_best ? best : SearchFurther(box, row, best);
}

// Looks for the largest IoU where it is below the unmatched threshold.
TargetAssigner::Claim TargetAssigner::SearchFurther(const Box& box, int32_t row, Claim best) {
  // The most promising groups first: most of the others are out of the question then.
  while (true) {
    const auto g = std::max_element(group_bounds_.begin(), group_bounds_.end());
    if (g == group_bounds_.end() || *g == 0.0f || *g < best.iou) return best;
    *g = 0.0f;
    const AnchorGroup& group = index_.groups()[g - group_bounds_.begin()];
    float bounds[AnchorGroup::kSize];
    index_.BoundBlocks(box, group, bounds);
    for (int64_t n = 0; n < group.num_blocks; ++n) {
      const auto b = std::max_element(bounds, bounds + group.num_blocks);
      if (*b == 0.0f || *b < best.iou) break;
      // What reaches the threshold has been compared already.
      if (*b < options_.rules.unmatched_threshold) {
        Compare(group.first_block + (b - bounds), box, row, true, &best);
      }
      *b = 0.0f;
    }
  }
}

void TargetAssigner::Compare(int64_t block, const Box& box, int32_t row, bool find_best,
                             Claim* best) {
  if (!is_compared_[block]) {
    is_compared_[block] = true;
    compared_.push_back(block);
  }
  const AnchorBlock& anchors = index_.blocks()[block];
  float ious[kBlock];
  const float largest = MultiVersion<CompareBlock>::Run(
      &anchors, &box, row, ious, &best_iou_[block * kBlock], &best_row_[block * kBlock]);
  if (!find_best || largest == 0.0f || largest < best->iou) return;
  for (int64_t k = 0; k < kBlock; ++k) {
    if (ious[k] != largest) continue;
    if (largest > best->iou || anchors.index[k] < best->anchor) *best = {largest, anchors.index[k]};
  }
}

int32_t TargetAssigner::Outcome(float iou, int32_t row) const {
  const MatchRules& rules = options_.rules;
  if (rules.unmatched_threshold > iou) {
    return rules.negatives_lower_than_unmatched ? kUnmatched : kIgnored;
  }
  if (rules.matched_threshold > iou) {
    return rules.negatives_lower_than_unmatched ? kIgnored : kUnmatched;
  }
  return row;
}

// Gives every anchor what one without a box gets.
void TargetAssigner::Fill(int32_t outcome, const Targets& targets) const {
  const auto num_anchors = static_cast<int64_t>(index_.anchors().size());
  const float weight = outcome == kUnmatched ? options_.negative_class_weight : 0.0f;
  FillWith(label_pattern_, num_anchors * options_.num_classes, targets.class_targets);
  std::fill_n(targets.class_weights, num_anchors, weight);
  std::fill_n(targets.box_targets, 4 * num_anchors, 0.0f);
  std::fill_n(targets.box_weights, num_anchors, 0.0f);
  std::fill_n(targets.matches, num_anchors, outcome);
}

// Takes over the anchors that were compared with a box, and forgets them.
void TargetAssigner::CollectCompared(const Targets& targets) {
  for (const int64_t block : compared_) {
    const AnchorBlock& anchors = index_.blocks()[block];
    float* ious = &best_iou_[block * kBlock];
    int32_t* rows = &best_row_[block * kBlock];
    for (int64_t k = 0; k < kBlock; ++k) {
      // Where nothing overlaps, the filling is right already.
      if (ious[k] == 0.0f) continue;
      const int32_t outcome = Outcome(ious[k], rows[k]);
      const int32_t anchor = anchors.index[k];
      if (outcome >= 0) {
        matched_.push_back({anchor, outcome});
      } else {
        targets.matches[anchor] = outcome;
        targets.class_weights[anchor] =
            outcome == kUnmatched ? options_.negative_class_weight : 0.0f;
      }
    }
    std::fill_n(ious, kBlock, 0.0f);
    is_compared_[block] = false;
  }
  compared_.clear();
}

void TargetAssigner::WriteMatched(const Groundtruth& groundtruth, const Targets& targets) {
  matched_boxes_.clear();
  matched_anchors_.clear();
  for (const Assigned& match : matched_) {
    matched_boxes_.push_back(groundtruth.boxes[match.row]);
    matched_anchors_.push_back(index_.anchors()[match.anchor]);
  }
  encodings_.resize(4 * matched_.size());
  EncodeFasterRcnn(matched_boxes_.data(), matched_anchors_.data(),
                   static_cast<int64_t>(matched_.size()), options_.scales, encodings_.data());
  const int64_t num_classes = options_.num_classes;
  for (size_t i = 0; i < matched_.size(); ++i) {
    const auto [anchor, row] = matched_[i];
    std::copy_n(groundtruth.labels + row * num_classes, num_classes,
                targets.class_targets + anchor * num_classes);
    std::copy_n(&encodings_[4 * i], 4, targets.box_targets + int64_t{4} * anchor);
    targets.class_weights[anchor] = groundtruth.weights[row];
    targets.box_weights[anchor] = groundtruth.weights[row];
    targets.matches[anchor] = row;
  }
}

Targets TargetsOf(const Targets& targets, int64_t image, int64_t num_anchors, int64_t num_classes) {
  const int64_t first = image * num_anchors;
  return {targets.class_targets + first * num_classes, targets.class_weights + first,
          targets.box_targets + 4 * first, targets.box_weights + first, targets.matches + first};
}

void AssignTargets(const AnchorIndex& index, const TargetOptions& options,
                   const std::vector<Groundtruth>& images, int threads, const Targets& targets) {
  const auto count = static_cast<int64_t>(images.size());
  const auto num_anchors = static_cast<int64_t>(index.anchors().size());
  std::atomic<int64_t> next{0};
  // A turn per thread and not per image: an assigner's working memory is made once.
  ParallelFor(std::min<int64_t>(threads, count), threads, [&](int64_t) {
    TargetAssigner assigner(index, options);
    for (int64_t i = next++; i < count; i = next++) {
      assigner.Assign(images[i], TargetsOf(targets, i, num_anchors, options.num_classes));
    }
  });
}

}  // namespace roadmark
