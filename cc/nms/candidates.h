// Candidates for suppression, best first, without sorting those that are never looked at.
#ifndef ROADMARK_CC_NMS_CANDIDATES_H_
#define ROADMARK_CC_NMS_CANDIDATES_H_

#include <cstdint>
#include <vector>

#include "cc/math.h"

namespace roadmark {

// How a logit becomes a score.
enum class ScoreConverter { kIdentity, kSigmoid };

// A score and where it is from, in one integer that orders candidates best first: by score, then by
// rank. The rank of (row, column) is column * rows + row: of equal scores the lower column (class)
// comes first, then the lower row (box).
class Candidate {
 public:
  Candidate(float score, uint32_t rank) {
    // + 0 turns -0 into 0, which it equals.
    const uint32_t bits = BitsFromFloat(score + 0.0f);
    const uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    key_ = static_cast<uint64_t>(~ascending) << 32 | rank;
  }

  float score() const {
    const uint32_t ascending = ~static_cast<uint32_t>(key_ >> 32);
    return FloatFromBits(ascending & 0x80000000u ? ascending & 0x7fffffffu : ~ascending);
  }
  uint32_t rank() const { return static_cast<uint32_t>(key_); }
  uint64_t key() const { return key_; }

 private:
  uint64_t key_;
};

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

// `logit` as a score.
float ConvertScore(float logit, ScoreConverter converter, float multiplier);

// Sorts best first.
void SortCandidates(std::vector<Candidate>* candidates);

}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_CANDIDATES_H_
