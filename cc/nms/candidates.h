// Candidates for suppression, best first, without sorting those that are never looked at.
#ifndef ROADMARK_CC_NMS_CANDIDATES_H_
#define ROADMARK_CC_NMS_CANDIDATES_H_

#include <cstdint>
#include <vector>

#include "cc/nms/candidate.h"

namespace roadmark {

// A matrix of logits, read as candidates tier by tier: the first tier is made of the few best, and
// lower ones are only gathered when a scan gets that far.
class CandidateMatrix {
 public:
  // `logits` is [rows, columns], alive as long as this object; rows * columns is below 2^32.
  // Columns before `first_column` (the background) are not looked at. Logits are multiplied by
  // `multiplier`, above 0, before the conversion. Scores above `score_threshold` are candidates;
  // NaN never is.
  CandidateMatrix(const float* logits, int64_t rows, int64_t columns, int64_t first_column,
                  ScoreConverter converter, float multiplier, float score_threshold);

  // Replaces `tier` by the next best candidates, in order; false when there are none left.
  bool NextTier(std::vector<Candidate>* tier);

  // Candidates not yet returned have lower scores than this.
  float floor() const { return floor_; }

  int64_t RowOf(const Candidate& candidate) const { return candidate.rank() % rows_; }
  int64_t ColumnOf(const Candidate& candidate) const { return candidate.rank() / rows_; }

 private:
  float LowestLogit(float score) const;
  float NextFloor() const;
  void Gather(float floor, float ceiling, std::vector<Candidate>* tier) const;

  const float* logits_;
  int64_t rows_, columns_, first_column_;
  ScoreConverter converter_;
  float multiplier_, threshold_;
  int64_t block_rows_;
  std::vector<float> block_maxima_;
  int64_t tier_blocks_;
  float floor_;
  bool first_tier_ = true;
  bool exhausted_ = false;
};

// The largest value in columns [first_column, columns) of each row; NaN is passed over.
void RowMaxima(const float* logits, int64_t rows, int64_t columns, int64_t first_column,
               float* maxima);

// Sorts best first.
void SortCandidates(std::vector<Candidate>* candidates);

}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_CANDIDATES_H_
