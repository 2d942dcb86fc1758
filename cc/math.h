// exp, log and what is made of them, in float32.
//
// libm picks its implementation by CPU, so its last bit differs between machines. These are made of
// additions, multiplications and bit operations only: every CPU gives the same bits, and loops over
// them vectorise.
#ifndef ROADMARK_CC_MATH_H_
#define ROADMARK_CC_MATH_H_

#include <cstdint>
#include <cstring>
#include <limits>

namespace roadmark {

// nvcc compiles what is marked so for the GPU too; cc/cuda says which flags keep the bits the same.
#ifdef __CUDACC__
#define ROADMARK_INLINE __host__ __device__ inline __attribute__((always_inline))
#else
#define ROADMARK_INLINE inline __attribute__((always_inline))
#endif

ROADMARK_INLINE float FloatFromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

ROADMARK_INLINE uint32_t BitsFromFloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// 2^exponent, for -126 <= exponent <= 127.
ROADMARK_INLINE float PowerOfTwo(int32_t exponent) {
  return FloatFromBits(static_cast<uint32_t>(exponent + 127) << 23);
}

// e^x within 1 ulp. Underflows gradually to 0 and overflows to infinity; NaN stays NaN.
ROADMARK_INLINE float Exp(float x) {
  // Beyond these the result is 0 or infinite already. Written so that NaN passes through.
  const float clamped = x > 89.0f ? 89.0f : (x < -104.0f ? -104.0f : x);
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const float kRounder = 12582912.0f;
  const float shifted = clamped * 1.44269504f + kRounder;
  const float n = shifted - kRounder;
  // ln 2 in two parts; the first has few enough bits for n * part to be exact.
  const float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  // Minimax polynomial of (e^r - 1 - r) / r^2 on [-ln2/2, ln2/2], from Cephes' expf
  // (https://www.netlib.org/cephes/).
  // In pairs (Estrin's scheme): fewer steps that wait for the one before.
  const float r2 = r * r;
  const float p01 = 5.0000001201e-1f + 1.6666665459e-1f * r;
  const float p23 = 4.1665795894e-2f + 8.3334519073e-3f * r;
  const float p45 = 1.3981999507e-3f + 1.9875691500e-4f * r;
  const float p = p01 + r2 * (p23 + r2 * p45);
  const float e = (p * r2 + r) + 1.0f;
  // 2^n in two factors: n reaches from -150 to 128, past what one float can hold.
  const int32_t exponent = static_cast<int32_t>(BitsFromFloat(shifted) - BitsFromFloat(kRounder));
  const int32_t half = exponent >> 1;
  return e * PowerOfTwo(half) * PowerOfTwo(exponent - half);
}

// x = (1 + f) * 2^n with 1 + f in [sqrt(1/2), sqrt(2)), so that log(1 + f) has no cancellation with
// n * ln 2.
struct LogParts {
  float f, n;
};

ROADMARK_INLINE LogParts SplitForLog(float x) {
  const bool subnormal = x < std::numeric_limits<float>::min();
  const uint32_t bits = BitsFromFloat(subnormal ? x * 8388608.0f : x);
  const uint32_t kSqrtHalf = 0x3f3504f3u;
  const uint32_t offset = bits - kSqrtHalf;
  const int32_t e = (static_cast<int32_t>(offset) >> 23) - (subnormal ? 23 : 0);
  const float m = FloatFromBits((offset & 0x007fffffu) + kSqrtHalf);
  return {m - 1.0f, static_cast<float>(e)};
}

// `result`, unless the logarithm of x is infinite or not a number.
ROADMARK_INLINE float LogOrSpecial(float x, float result) {
  const float kInfinity = std::numeric_limits<float>::infinity();
  result = x == 0.0f ? -kInfinity : result;
  result = x == kInfinity ? kInfinity : result;
  return x >= 0.0f ? result : std::numeric_limits<float>::quiet_NaN();
}

// Natural logarithm within 1 ulp. Log(0) is -infinity; of a negative number or NaN it is NaN.
ROADMARK_INLINE float Log(float x) {
  const LogParts parts = SplitForLog(x);
  const float f = parts.f, n = parts.n;
  const float z = f * f;
  // Polynomial of (log(1 + f) - f + f^2 / 2) / f^3, from Cephes' logf.
  const float z2 = z * z;
  const float p01 = 3.3333331174e-1f + -2.4999993993e-1f * f;
  const float p23 = 2.0000714765e-1f + -1.6668057665e-1f * f;
  const float p45 = 1.4249322787e-1f + -1.2420140846e-1f * f;
  const float p67 = 1.1676998740e-1f + -1.1514610310e-1f * f;
  const float p = (p01 + p23 * z) + z2 * ((p45 + p67 * z) + z2 * 7.0376836292e-2f);
  float y = p * f * z;
  y = y + n * -2.12194440e-4f;
  y = y - 0.5f * z;
  return LogOrSpecial(x, (f + y) + n * 0.693359375f);
}

// Natural logarithm within 4 ulp: the one of TensorFlow's CPU kernels, to the bit. The rational
// approximation of log(1 + f) is Eigen's (plog_impl_float in GenericPacketMathFunctions.h).
ROADMARK_INLINE float LogAsTensorFlow(float x) {
  const LogParts parts = SplitForLog(x);
  const float f = parts.f;
  const float p = ((0.18256296349849254f * f + 1.0000000190281063f) * f + 1.0000000190281136f) * f;
  const float q =
      ((0.049616247954120038f * f + 0.59923249590823520f) * f + 1.4999999999999927f) * f + 1.0f;
  return LogOrSpecial(x, parts.n * 0.693147181f + p / q);
}

// 1 / (1 + e^-x).
ROADMARK_INLINE float Sigmoid(float x) { return 1.0f / (1.0f + Exp(-x)); }

}  // namespace roadmark

#endif  // ROADMARK_CC_MATH_H_
