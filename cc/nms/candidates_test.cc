#include "cc/nms/candidates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <tuple>
#include <vector>

namespace roadmark {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// (-score, column, row): what candidates are ordered by.
using Entry = std::tuple<float, int64_t, int64_t>;

std::vector<Entry> Reference(const std::vector<float>& logits, int64_t rows, int64_t columns,
                             int64_t first_column, ScoreConverter converter, float multiplier,
                             float threshold) {
  std::vector<Entry> entries;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = first_column; column < columns; ++column) {
      const float score = ConvertScore(logits[row * columns + column], converter, multiplier);
      if (score > threshold) entries.emplace_back(-score, column - first_column, row);
    }
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

std::vector<Entry> ReadAll(CandidateMatrix* matrix, int* tiers) {
  std::vector<Entry> entries;
  std::vector<Candidate> tier;
  *tiers = 0;
  while (matrix->NextTier(&tier)) {
    ++*tiers;
    for (const Candidate& candidate : tier) {
      EXPECT_GE(candidate.score(), matrix->floor());
      entries.emplace_back(-candidate.score(), matrix->ColumnOf(candidate),
                           matrix->RowOf(candidate));
    }
  }
  return entries;
}

struct Case {
  const char* proves;
  int64_t rows, columns, first_column;
  ScoreConverter converter;
  float multiplier, threshold;
  float spread;    // Standard deviation of the logits.
  float rounding;  // Logits are multiples of this, so that scores tie.
  bool several_tiers;
};

constexpr ScoreConverter kIdentity = ScoreConverter::kIdentity;
constexpr ScoreConverter kSigmoid = ScoreConverter::kSigmoid;

const Case kCases[] = {
    {"no rows", 0, 5, 0, kIdentity, 1, 0, 1, 1e-6f, false},
    {"one", 1, 1, 0, kIdentity, 1, -10, 1, 1e-6f, false},
    {"few: one tier", 100, 3, 0, kSigmoid, 1, 1e-8f, 3, 1e-6f, false},
    {"many: several tiers", 30000, 7, 0, kSigmoid, 1, 1e-8f, 3, 1e-6f, true},
    {"ties across tiers", 30000, 7, 0, kSigmoid, 1, 1e-8f, 3, 1.0f, true},
    {"all tie", 30000, 7, 0, kSigmoid, 1, 1e-8f, 3, 1e9f, false},
    {"saturated scores tie though their logits do not", 30000, 7, 0, kSigmoid, 1, 0.1f, 30, 1e-6f,
     true},
    {"background column", 30000, 5, 1, kSigmoid, 1, 0.01f, 3, 1e-6f, true},
    {"wide rows", 700, 301, 0, kSigmoid, 0.5f, 1e-8f, 3, 1e-6f, true},
    {"wide rows with background", 700, 302, 1, kIdentity, 2, -1, 3, 1e-6f, true},
    {"negative scores", 90000, 1, 0, kIdentity, 1, -1e9f, 3, 1e-6f, true},
    {"a threshold that few pass", 90000, 1, 0, kSigmoid, 1, 0.999f, 3, 1e-6f, false},
    {"a threshold that none pass", 90000, 1, 0, kSigmoid, 1, 1, 30, 1e-6f, false},
    {"a threshold of 0", 90000, 1, 0, kSigmoid, 1, 0, 60, 1e-6f, true},
    {"a threshold below 0", 90000, 1, 0, kSigmoid, 1, -1, 60, 1e-6f, true},
};

TEST(CandidateMatrixTest, TiersTogetherAreAllCandidatesInOrder) {
  for (const Case& c : kCases) {
    for (int seed = 0; seed < 3; ++seed) {
      std::mt19937 random(seed);
      std::normal_distribution<float> normal(-1, c.spread);
      std::vector<float> logits(c.rows * c.columns);
      for (float& logit : logits) logit = std::round(normal(random) / c.rounding) * c.rounding;
      CandidateMatrix matrix(logits.data(), c.rows, c.columns, c.first_column, c.converter,
                             c.multiplier, c.threshold);
      int tiers = 0;
      const std::vector<Entry> found = ReadAll(&matrix, &tiers);
      const std::vector<Entry> expected = Reference(logits, c.rows, c.columns, c.first_column,
                                                    c.converter, c.multiplier, c.threshold);
      ASSERT_TRUE(found == expected) << c.proves << ": found " << found.size() << ", expected "
                                     << expected.size() << " candidates";
      if (c.several_tiers) {
        EXPECT_GT(tiers, 1) << c.proves;
      }
    }
  }
}

TEST(CandidateMatrixTest, NanIsNoCandidateAndInfinityIs) {
  std::vector<float> logits(100000, std::nanf(""));
  logits[7] = kInfinity;
  logits[70000] = kInfinity;
  logits[9] = -kInfinity;
  logits[5] = 3;
  for (ScoreConverter converter : {kIdentity, kSigmoid}) {
    CandidateMatrix matrix(logits.data(), 100000, 1, 0, converter, 1, -1);
    int tiers = 0;
    const std::vector<Entry> found = ReadAll(&matrix, &tiers);
    std::vector<int64_t> rows;
    for (const Entry& entry : found) rows.push_back(std::get<2>(entry));
    std::vector<int64_t> expected = {7, 70000, 5};
    if (converter == kSigmoid) expected.push_back(9);  // A score of 0.
    EXPECT_EQ(rows, expected);
  }
}

TEST(CandidateTest, KeepsScoreAndRank) {
  for (float score : {0.0f, 1.0f, -1.0f, 1e-40f, -1e-40f, 0.3f, kInfinity, -kInfinity}) {
    const Candidate candidate(score, 4000000000u);
    EXPECT_EQ(candidate.score(), score);
    EXPECT_EQ(candidate.rank(), 4000000000u);
  }
  EXPECT_EQ(Candidate(-0.0f, 1).key(), Candidate(0.0f, 1).key());
}

TEST(RowMaximaTest, EachRowWithoutItsFirstColumns) {
  const float nan = std::nanf("");
  const float logits[] = {9, 1, 2, 8, nan, -3, 7, nan, nan};
  float maxima[3];
  RowMaxima(logits, 3, 3, 1, maxima);
  EXPECT_EQ(maxima[0], 2);
  EXPECT_EQ(maxima[1], -3);
  EXPECT_EQ(maxima[2], -kInfinity);
}

}  // namespace
}  // namespace roadmark
