#include "cc/nms/candidates.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Logits per block, about: small enough that a block with one good candidate costs little, and for
// a small matrix, that the first tier is a small part of it; large enough that there are few.
constexpr int64_t kMinBlockLogits = 16, kMaxBlockLogits = 512;
constexpr int64_t kBlocks = 2048;
// Blocks that the first tier is taken from, about, and how much deeper each further tier goes.
constexpr int64_t kFirstTierBlocks = 256;
constexpr int64_t kTierGrowth = 8;
// Where a tier ends is found from a sample of so many blocks, about.
constexpr int64_t kSampledBlocks = 4096;

int64_t BlockRows(int64_t rows, int64_t columns) {
  const int64_t logits = std::clamp(rows * columns / kBlocks, kMinBlockLogits, kMaxBlockLogits);
  return std::max<int64_t>(1, logits / std::max<int64_t>(1, columns));
}

constexpr int kDigitBits = 11;
constexpr int kDigits = 1 << kDigitBits;
// Below this std::sort is faster than counting digits.
constexpr size_t kRadixSortFrom = 512;

ROADMARK_KERNEL float Larger(float a, float b) { return a > b ? a : b; }

// The largest value in columns [first_column, columns) of each block of rows. NaN is passed over.
struct BlockMaxima {
  ROADMARK_KERNEL void Run(const float* __restrict logits, int64_t rows, int64_t columns,
                           int64_t first_column, int64_t block_rows, float* __restrict maxima) {
    for (int64_t begin = 0; begin < rows; begin += block_rows) {
      const int64_t end = begin + block_rows < rows ? begin + block_rows : rows;
      // Whole rows are contiguous: one run. Else each row is a run.
      const int64_t runs = first_column == 0 ? 1 : end - begin;
      const int64_t length = first_column == 0 ? (end - begin) * columns : columns - first_column;
      float largest = -kInfinity;
      for (int64_t run = 0; run < runs; ++run) {
        const float* values = logits + (begin + run) * columns + first_column;
        largest = Larger(length < kLanes ? OfFew(values, length) : OfMany(values, length), largest);
      }
      *maxima++ = largest;
    }
  }

 private:
  static constexpr int kLanes = 16;

  ROADMARK_KERNEL float OfFew(const float* __restrict values, int64_t length) {
    float largest = -kInfinity;
    for (int64_t i = 0; i < length; ++i) largest = Larger(values[i], largest);
    return largest;
  }

  // Vectors by name: GCC takes a loop over 16 lanes apart before it gets to vectorising it.
  ROADMARK_KERNEL float OfMany(const float* __restrict values, int64_t length) {
    typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
    // The processor fetches ahead by itself, but not far enough.
    constexpr int64_t kAhead = 1024;
    Lanes next, even = Lanes{} - kInfinity, odd = even;
    int64_t i = 0;
    for (; i + 2 * kLanes <= length; i += 2 * kLanes) {
      __builtin_prefetch(values + i + kAhead);
      __builtin_prefetch(values + i + kAhead + kLanes);
      std::memcpy(&next, values + i, sizeof(next));
      even = next > even ? next : even;
      std::memcpy(&next, values + i + kLanes, sizeof(next));
      odd = next > odd ? next : odd;
    }
    if (i + kLanes <= length) {
      std::memcpy(&next, values + i, sizeof(next));
      even = next > even ? next : even;
    }
    // The last values once more: there is no remainder.
    std::memcpy(&next, values + length - kLanes, sizeof(next));
    odd = next > odd ? next : odd;
    even = odd > even ? odd : even;
    return LargestOf<kLanes>(reinterpret_cast<const float*>(&even));
  }

  template <int kCount>
  ROADMARK_KERNEL float LargestOf(const float* values) {
    if constexpr (kCount == 1) {
      return values[0];
    } else {
      typedef float Half __attribute__((vector_size(kCount / 2 * sizeof(float))));
      Half low, high;
      std::memcpy(&low, values, sizeof(low));
      std::memcpy(&high, values + kCount / 2, sizeof(high));
      low = high > low ? high : low;
      return LargestOf<kCount / 2>(reinterpret_cast<const float*>(&low));
    }
  }
};

// This loop vectorises: it is not ended at the first.
bool AnyAtLeast(float lowest, const float* values, int64_t count) {
  int any = 0;
  for (int64_t i = 0; i < count; ++i) any |= values[i] >= lowest;
  return any;
}

bool Better(const Candidate& a, const Candidate& b) { return a.key() < b.key(); }

// Stable, by the score alone.
void RadixSortByScore(std::vector<Candidate>* candidates) {
  constexpr int kPasses = 3;
  static_assert(kPasses * kDigitBits >= 32, "a score has 32 bits");
  uint32_t counts[kPasses][kDigits] = {};
  const auto digit = [](const Candidate& c, int pass) {
    return c.key() >> (32 + pass * kDigitBits) & (kDigits - 1);
  };
  for (const Candidate& c : *candidates) {
    for (int pass = 0; pass < kPasses; ++pass) ++counts[pass][digit(c, pass)];
  }
  std::vector<Candidate> other(*candidates);
  for (int pass = 0; pass < kPasses; ++pass) {
    uint32_t* starts = counts[pass];
    if (starts[digit(candidates->front(), pass)] == candidates->size()) continue;  // All the same.
    uint32_t start = 0;
    for (int d = 0; d < kDigits; ++d) start += std::exchange(starts[d], start);
    for (const Candidate& c : *candidates) other[starts[digit(c, pass)]++] = c;
    candidates->swap(other);
  }
}

}  // namespace

void RowMaxima(const float* logits, int64_t rows, int64_t columns, int64_t first_column,
               float* maxima) {
  MultiVersion<BlockMaxima>::Run(logits, rows, columns, first_column, int64_t{1}, maxima);
}

void SortCandidates(std::vector<Candidate>* candidates) {
  if (candidates->size() < kRadixSortFrom) {
    std::sort(candidates->begin(), candidates->end(), Better);
    return;
  }
  RadixSortByScore(candidates);
  const auto end = candidates->end();
  for (auto tie = candidates->begin(); tie != end;) {
    const uint64_t score = tie->key() >> 32;
    auto next = tie + 1;
    while (next != end && next->key() >> 32 == score) ++next;
    if (next - tie > 1) std::sort(tie, next, Better);
    tie = next;
  }
}

CandidateMatrix::CandidateMatrix(const float* logits, int64_t rows, int64_t columns,
                                 int64_t first_column, ScoreConverter converter, float multiplier,
                                 float score_threshold)
    : logits_(logits),
      rows_(rows),
      columns_(columns),
      first_column_(first_column),
      converter_(converter),
      multiplier_(multiplier),
      threshold_(score_threshold),
      block_rows_(BlockRows(rows, columns)),
      block_maxima_((rows + block_rows_ - 1) / block_rows_),
      tier_blocks_(kFirstTierBlocks),
      floor_(kInfinity) {
  MultiVersion<BlockMaxima>::Run(logits_, rows_, columns_, first_column_, block_rows_,
                                 block_maxima_.data());
}

// No logit below this has `score` or more. It is too low by a little, so that rounding in
// ConvertScore() cannot matter: whoever uses it compares the score as well.
float CandidateMatrix::LowestLogit(float score) const {
  double scaled = score;
  if (converter_ == ScoreConverter::kSigmoid) {
    const double probability = score * (1 - 1e-6);
    if (!(probability > 0)) return -kInfinity;
    scaled = std::log(probability / (1 - std::min(probability, 1 - 1e-6)));
  }
  if (!std::isfinite(scaled)) return static_cast<float>(scaled);
  const double kUnderflow = 1e-37;  // Tiny negative products round to -0, which equals 0.
  return static_cast<float>((scaled - 1e-6 * std::fabs(scaled) - kUnderflow) / multiplier_);
}

bool CandidateMatrix::NextTier(std::vector<Candidate>* tier) {
  tier->clear();
  while (tier->empty() && !exhausted_) {
    const float floor = NextFloor();
    tier_blocks_ *= kTierGrowth;
    exhausted_ = !(floor > threshold_);
    Gather(floor, floor_, tier);
    floor_ = floor;
    first_tier_ = false;
  }
  SortCandidates(tier);
  return !tier->empty();
}

// A score that about `tier_blocks_` blocks reach. -infinity if no more of them hold candidates.
float CandidateMatrix::NextFloor() const {
  const auto blocks = static_cast<int64_t>(block_maxima_.size());
  const int64_t step = std::max<int64_t>(1, blocks / kSampledBlocks);
  const float lowest_logit = LowestLogit(threshold_);
  std::vector<float> maxima;
  maxima.reserve(blocks / step + 1);
  for (int64_t block = 0; block < blocks; block += step) {
    if (block_maxima_[block] >= lowest_logit) maxima.push_back(block_maxima_[block]);
  }
  if (tier_blocks_ / step >= static_cast<int64_t>(maxima.size())) return -kInfinity;
  const auto last = maxima.begin() + tier_blocks_ / step;
  std::nth_element(maxima.begin(), last, maxima.end(), std::greater<float>());
  return ConvertScore(*last, converter_, multiplier_);
}

// The candidates with a score in [floor, ceiling); the first tier has no ceiling.
void CandidateMatrix::Gather(float floor, float ceiling, std::vector<Candidate>* tier) const {
  const float lowest_logit = LowestLogit(std::max(floor, threshold_));
  const bool wide = columns_ - first_column_ >= 16;
  for (int64_t block = 0; block < static_cast<int64_t>(block_maxima_.size()); ++block) {
    if (!(block_maxima_[block] >= lowest_logit)) continue;
    const int64_t end = std::min(rows_, (block + 1) * block_rows_);
    for (int64_t row = block * block_rows_; row < end; ++row) {
      const float* logits = logits_ + row * columns_;
      if (wide && !AnyAtLeast(lowest_logit, logits + first_column_, columns_ - first_column_)) {
        continue;
      }
      for (int64_t column = first_column_; column < columns_; ++column) {
        if (!(logits[column] >= lowest_logit)) continue;
        const float score = ConvertScore(logits[column], converter_, multiplier_);
        const bool in_tier = score >= floor && (first_tier_ || score < ceiling);
        if (!(in_tier && score > threshold_)) continue;
        const int64_t rank = (column - first_column_) * rows_ + row;
        tier->emplace_back(score, static_cast<uint32_t>(rank));
      }
    }
  }
}

}  // namespace roadmark
