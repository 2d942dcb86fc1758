#include "cc/nms/nms.h"

#include <limits>

#include "cc/nms/candidates.h"
#include "cc/nms/suppression.h"

namespace roadmark {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

CandidateMatrix Scores(const float* scores, int64_t rows, int64_t columns, float threshold) {
  return CandidateMatrix(scores, rows, columns, /*first_column=*/0, ScoreConverter::kIdentity,
                         /*multiplier=*/1.0f, threshold);
}

// One candidate per box.
class BoxSource {
 public:
  BoxSource(const Box* boxes, const float* scores, const int32_t* classes, int64_t count,
            float score_threshold)
      : candidates_(Scores(scores, count, 1, score_threshold)), boxes_(boxes), classes_(classes) {}

  bool NextTier(std::vector<Candidate>* tier) { return candidates_.NextTier(tier); }
  float floor() const { return candidates_.floor(); }
  int64_t IndexOf(const Candidate& candidate) const { return candidate.rank(); }
  int64_t ClassOf(const Candidate& candidate) const {
    return classes_ ? classes_[candidate.rank()] : 0;
  }
  Box BoxOf(const Candidate& candidate) const { return boxes_[candidate.rank()]; }

 private:
  CandidateMatrix candidates_;
  const Box* boxes_;
  const int32_t* classes_;
};

// One candidate per box and class.
class PairSource {
 public:
  PairSource(const Box* boxes, bool shared_boxes, const float* scores, int64_t count,
             int64_t num_classes, float score_threshold)
      : candidates_(Scores(scores, count, num_classes, score_threshold)),
        boxes_(boxes),
        boxes_per_row_(shared_boxes ? 1 : num_classes) {}

  bool NextTier(std::vector<Candidate>* tier) { return candidates_.NextTier(tier); }
  float floor() const { return candidates_.floor(); }
  int64_t IndexOf(const Candidate& candidate) const { return candidates_.RowOf(candidate); }
  int64_t ClassOf(const Candidate& candidate) const { return candidates_.ColumnOf(candidate); }
  Box BoxOf(const Candidate& candidate) const {
    const int64_t row = candidates_.RowOf(candidate) * boxes_per_row_;
    return boxes_[boxes_per_row_ == 1 ? row : row + ClassOf(candidate)];
  }

 private:
  CandidateMatrix candidates_;
  const Box* boxes_;
  int64_t boxes_per_row_;
};

template <typename Source>
std::vector<Selection> Select(Source& source, int64_t num_classes, int64_t max_candidates,
                              const NmsOptions& options) {
  std::vector<Selection> selected;
  if (options.max_total <= 0) return selected;
  const SuppressionOptions suppression = {options.score_threshold, options.iou_threshold,
                                          options.soft_nms_sigma,  num_classes,
                                          options.max_per_class,   max_candidates};
  Suppress(source, suppression,
           [&](const Candidate& candidate, int64_t class_index, const Box&, float score) {
             selected.push_back({source.IndexOf(candidate), class_index, score});
             return static_cast<int64_t>(selected.size()) < options.max_total;
           });
  return selected;
}

}  // namespace

std::vector<Selection> Nms(const Box* boxes, const float* scores, const int32_t* classes,
                           int64_t count, int64_t num_classes, const NmsOptions& options) {
  BoxSource source(boxes, scores, classes, count, options.score_threshold);
  return Select(source, num_classes, kNoLimit, options);
}

std::vector<Selection> MulticlassNms(const Box* boxes, bool shared_boxes, const float* scores,
                                     int64_t count, int64_t num_classes, int64_t max_candidates,
                                     const NmsOptions& options) {
  PairSource source(boxes, shared_boxes, scores, count, num_classes, options.score_threshold);
  return Select(source, num_classes, max_candidates > 0 ? max_candidates : kNoLimit, options);
}

std::vector<Selection> ClassAgnosticNms(const Box* boxes, bool shared_boxes, const float* scores,
                                        int64_t count, int64_t num_classes,
                                        const NmsOptions& options) {
  std::vector<float> best_scores(count);
  RowMaxima(scores, count, num_classes, /*first_column=*/0, best_scores.data());
  std::vector<int32_t> best_classes(count);
  std::vector<Box> best_boxes(count);
  for (int64_t row = 0; row < count; ++row) {
    const float* of_row = scores + row * num_classes;
    int64_t best = 0;
    while (best + 1 < num_classes && of_row[best] != best_scores[row]) ++best;
    best_classes[row] = static_cast<int32_t>(best);
    best_boxes[row] = boxes[shared_boxes ? row : row * num_classes + best];
  }
  NmsOptions one_class = options;
  one_class.max_per_class = options.max_total;
  std::vector<Selection> selected =
      Nms(best_boxes.data(), best_scores.data(), nullptr, count, 1, one_class);
  for (Selection& selection : selected) selection.class_index = best_classes[selection.index];
  return selected;
}

}  // namespace roadmark
