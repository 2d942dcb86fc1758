// The scan at the heart of non-maximum suppression, over any source of candidates.
#ifndef ROADMARK_CC_NMS_SUPPRESSION_H_
#define ROADMARK_CC_NMS_SUPPRESSION_H_

#include <cstdint>
#include <queue>
#include <vector>

#include "cc/box.h"
#include "cc/math.h"
#include "cc/nms/candidates.h"
#include "cc/nms/kept_boxes.h"

namespace roadmark {

struct SuppressionOptions {
  float score_threshold;
  float iou_threshold;
  float soft_nms_sigma;  // 0: hard suppression.
  int64_t num_classes;   // Boxes of different classes do not suppress each other.
  int64_t max_per_class;
  int64_t max_candidates;  // Only so many of the best candidates are looked at.
};

// Source has
//   bool NextTier(std::vector<Candidate>*);   next best candidates in order; false at the end
//   float floor();                            candidates still to come score less than this
//   int64_t ClassOf(Candidate);
//   Box BoxOf(Candidate);
// and `keep(candidate, class, box, score)` is called for each kept box, best score first; the scan
// ends when it returns false.
template <typename Source, typename Keep>
void SuppressHard(Source& source, const SuppressionOptions& options, Keep keep) {
  std::vector<KeptBoxes> kept(options.num_classes);
  std::vector<Candidate> tier;
  int64_t open_classes = options.max_per_class > 0 ? options.num_classes : 0;
  int64_t left = options.max_candidates;
  while (open_classes > 0 && source.NextTier(&tier)) {
    for (const Candidate& candidate : tier) {
      if (left-- <= 0) return;
      const int64_t class_index = source.ClassOf(candidate);
      KeptBoxes& of_class = kept[class_index];
      if (of_class.size() >= options.max_per_class) continue;
      const Box box = source.BoxOf(candidate);
      if (of_class.AnyOverlaps(box, options.iou_threshold)) continue;
      of_class.Add(box);
      if (!keep(candidate, class_index, box, candidate.score())) return;
      open_classes -= of_class.size() == options.max_per_class;
    }
  }
}

// Soft-NMS with Gaussian weights (https://arxiv.org/abs/1704.04503): for each better box a score
// decays by exp(-iou^2 / (2 sigma)), the 2 as in TensorFlow. `iou_threshold` plays no part.
template <typename Source, typename Keep>
void SuppressSoftly(Source& source, const SuppressionOptions& options, Keep keep) {
  struct Decayed {
    Candidate now;  // Its score is the decayed one.
    Candidate original;
    int64_t compared;  // With how many kept boxes of its class.
  };
  const auto worse = [](const Decayed& a, const Decayed& b) { return a.now.key() > b.now.key(); };
  std::priority_queue<Decayed, std::vector<Decayed>, decltype(worse)> queue(worse);
  std::vector<KeptBoxes> kept(options.num_classes);
  std::vector<Candidate> tier;
  std::vector<float> ious;
  const float scale = static_cast<float>(-0.5 / options.soft_nms_sigma);
  int64_t left = options.max_candidates;
  bool more = true;
  while (more || !queue.empty()) {
    if (more && (queue.empty() || queue.top().now.score() < source.floor())) {
      more = left > 0 && source.NextTier(&tier);
      for (size_t i = 0; more && i < tier.size() && left > 0; ++i, --left) {
        queue.push({tier[i], tier[i], 0});
      }
      continue;
    }
    Decayed best = queue.top();
    queue.pop();
    const int64_t class_index = source.ClassOf(best.original);
    KeptBoxes& of_class = kept[class_index];
    if (of_class.size() >= options.max_per_class) continue;
    const Box box = source.BoxOf(best.original);
    ious.resize(of_class.size() - best.compared);
    of_class.Ious(box, best.compared, ious.data());
    const float before = best.now.score();
    float score = before;
    for (size_t i = ious.size(); i-- > 0 && score > options.score_threshold;) {
      // Not a number where both areas overflow: no overlap, as for hard suppression.
      if (ious[i] > 0.0f) score *= Exp(scale * ious[i] * ious[i]);
    }
    if (score == before) {
      of_class.Add(box);
      if (!keep(best.original, class_index, box, score)) return;
    } else if (score > options.score_threshold) {
      queue.push({Candidate(score, best.original.rank()), best.original, of_class.size()});
    }
  }
}

template <typename Source, typename Keep>
void Suppress(Source& source, const SuppressionOptions& options, Keep keep) {
  if (options.soft_nms_sigma > 0) return SuppressSoftly(source, options, keep);
  SuppressHard(source, options, keep);
}

}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_SUPPRESSION_H_
