// A candidate for suppression, and how its score comes from a logit.
#ifndef ROADMARK_CC_NMS_CANDIDATE_H_
#define ROADMARK_CC_NMS_CANDIDATE_H_

#include <cstdint>

#include "cc/math.h"

namespace roadmark {

// How a logit becomes a score.
enum class ScoreConverter { kIdentity, kSigmoid };

// A score and where it is from, in one integer that orders candidates best first: by score, then by
// rank. The rank of (row, column) is column * rows + row: of equal scores the lower column (class)
// comes first, then the lower row (box).
class Candidate {
 public:
  ROADMARK_INLINE Candidate(float score, uint32_t rank) {
    // + 0 turns -0 into 0, which it equals.
    const uint32_t bits = BitsFromFloat(score + 0.0f);
    const uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    key_ = static_cast<uint64_t>(~ascending) << 32 | rank;
  }

  ROADMARK_INLINE static Candidate FromKey(uint64_t key) {
    Candidate candidate(0, 0);
    candidate.key_ = key;
    return candidate;
  }

  ROADMARK_INLINE float score() const {
    const uint32_t ascending = ~static_cast<uint32_t>(key_ >> 32);
    return FloatFromBits(ascending & 0x80000000u ? ascending & 0x7fffffffu : ~ascending);
  }
  ROADMARK_INLINE uint32_t rank() const { return static_cast<uint32_t>(key_); }
  ROADMARK_INLINE uint64_t key() const { return key_; }

 private:
  uint64_t key_;
};

// `logit` as a score.
ROADMARK_INLINE float ConvertScore(float logit, ScoreConverter converter, float multiplier) {
  const float scaled = logit * multiplier;
  return converter == ScoreConverter::kSigmoid ? Sigmoid(scaled) : scaled;
}

}  // namespace roadmark

#endif  // ROADMARK_CC_NMS_CANDIDATE_H_
