#include "cc/math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "cc/multiversion.h"

namespace roadmark {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNaN = std::nanf("");

// Distance from the exact value in units of the float spacing there.
double UlpError(float found, double exact) {
  const float rounded = static_cast<float>(exact);
  if (found == rounded) return 0;
  const double spacing = std::nextafter(std::fabs(rounded), kInfinity) - std::fabs(rounded);
  return std::fabs(found - exact) / spacing;
}

// Every 251st float: all exponents, both signs, mantissas spread out.
template <typename Function>
void ForManyFloats(Function function) {
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 251) {
    function(FloatFromBits(static_cast<uint32_t>(bits)));
  }
}

TEST(MathTest, ExpIsWithinOneUlpOfDoublePrecision) {
  double worst = 0;
  float at = 0;
  ForManyFloats([&](float x) {
    if (!(x > -103.0f && x < 88.72f)) return;
    const double error = UlpError(Exp(x), std::exp(static_cast<double>(x)));
    if (error > worst) worst = error, at = x;
  });
  EXPECT_LE(worst, 1.0) << "at " << at;
}

TEST(MathTest, LogIsWithinOneUlpOfDoublePrecision) {
  double worst = 0;
  float at = 0;
  ForManyFloats([&](float x) {
    if (!(x > 0 && x < kInfinity)) return;
    const double error = UlpError(Log(x), std::log(static_cast<double>(x)));
    if (error > worst) worst = error, at = x;
  });
  EXPECT_LE(worst, 1.0) << "at " << at;
}

// Values that tf.math.log of TensorFlow 2.21 gives on a CPU; Log is up to 3 ulp away.
TEST(MathTest, LogAsTensorFlowHasItsBits) {
  const float cases[][2] = {
      {0.3825768f, -0.9608258f}, {0.70002276f, -0.35664248f}, {0.9000026f, -0.10535762f},
      {1.1999912f, 0.18231422f}, {1.5999862f, 0.46999496f},   {2.6186192f, 0.9626471f},
  };
  for (const auto& [x, expected] : cases) EXPECT_EQ(LogAsTensorFlow(x), expected) << x;
  EXPECT_EQ(LogAsTensorFlow(0), -kInfinity);
  EXPECT_EQ(LogAsTensorFlow(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(LogAsTensorFlow(-1)));
  EXPECT_TRUE(std::isnan(LogAsTensorFlow(kNaN)));
}

TEST(MathTest, SigmoidIsWithinTwoAndAHalfUlpOfDoublePrecision) {
  double worst = 0;
  float at = 0;
  ForManyFloats([&](float x) {
    if (!(x > -87.0f)) return;
    const double error = UlpError(Sigmoid(x), 1 / (1 + std::exp(-static_cast<double>(x))));
    if (error > worst) worst = error, at = x;
  });
  EXPECT_LE(worst, 2.5) << "at " << at;
}

struct Case {
  const char* proves;
  float found;
  float expected;
};

TEST(MathTest, EdgesOfTheRange) {
  const Case cases[] = {
      {"exp(0)", Exp(0), 1},
      {"exp(-0)", Exp(-0.0f), 1},
      {"exp overflows", Exp(88.73f), kInfinity},
      {"exp(inf)", Exp(kInfinity), kInfinity},
      {"exp(-inf)", Exp(-kInfinity), 0},
      {"exp underflows", Exp(-104.5f), 0},
      {"exp(max)", Exp(std::numeric_limits<float>::max()), kInfinity},
      {"exp(lowest)", Exp(std::numeric_limits<float>::lowest()), 0},
      {"log(1)", Log(1), 0},
      {"log(0)", Log(0), -kInfinity},
      {"log(-0)", Log(-0.0f), -kInfinity},
      {"log(inf)", Log(kInfinity), kInfinity},
      {"sigmoid(0)", Sigmoid(0), 0.5f},
      {"sigmoid(inf)", Sigmoid(kInfinity), 1},
      {"sigmoid(-inf)", Sigmoid(-kInfinity), 0},
  };
  for (const Case& c : cases) EXPECT_EQ(c.found, c.expected) << c.proves;
  for (float nan : {Exp(kNaN), Log(kNaN), Log(-1), Log(-kInfinity), Sigmoid(kNaN)}) {
    EXPECT_TRUE(std::isnan(nan));
  }
}

struct EveryFunction {
  ROADMARK_KERNEL void Run(const float* __restrict in, int64_t count, float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) out[i] = Exp(in[i]);
    for (int64_t i = 0; i < count; ++i) out[count + i] = Log(in[i]);
    for (int64_t i = 0; i < count; ++i) out[2 * count + i] = Sigmoid(in[i]);
  }
};

TEST(MathTest, SameBitsWithEveryInstructionSet) {
  std::vector<float> in;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 65521) {
    const float x = FloatFromBits(static_cast<uint32_t>(bits));
    if (!std::isnan(x)) in.push_back(x);
  }
  const int64_t count = static_cast<int64_t>(in.size());
  std::vector<float> expected(3 * count), found(3 * count);
  {
    ScopedInstructionSet baseline(InstructionSet::kBaseline);
    MultiVersion<EveryFunction>::Run(in.data(), count, expected.data());
  }
  for (InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (!IsSupported(set)) continue;
    ScopedInstructionSet scoped(set);
    MultiVersion<EveryFunction>::Run(in.data(), count, found.data());
    EXPECT_EQ(std::memcmp(expected.data(), found.data(), expected.size() * sizeof(float)), 0);
  }
}

TEST(InstructionSetTest, TheBestSupportedOneIsTakenAndAChoiceEnds) {
  const InstructionSet best = CurrentInstructionSet();
  EXPECT_TRUE(IsSupported(best));
  {
    ScopedInstructionSet scoped(InstructionSet::kBaseline);
    EXPECT_EQ(CurrentInstructionSet(), InstructionSet::kBaseline);
  }
  EXPECT_EQ(CurrentInstructionSet(), best);
}

}  // namespace
}  // namespace roadmark
