// What the fuzz targets share: values made of the fuzzer's bytes, and checks that stop it.
#ifndef ROADMARK_CC_FUZZ_INPUT_H_
#define ROADMARK_CC_FUZZ_INPUT_H_

#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cc/box.h"
#include "cc/math.h"
#include "cc/multiversion.h"

#define FUZZ_CHECK(condition)                                                      \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                \
    }                                                                              \
  } while (false)

namespace roadmark {

// Bytes that have run out are zeros.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : bytes_(data, size) {}

  bool Flag() { return bytes_.ConsumeBool(); }
  int64_t Integer(int64_t low, int64_t high) {
    return bytes_.ConsumeIntegralInRange<int64_t>(low, high);
  }

  // Half of the values lie on a coarse grid, so that ties, equal boxes and empty ones are common;
  // a sixteenth are any bits at all: NaN, infinities, subnormals.
  float Float() {
    const auto kind = bytes_.ConsumeIntegral<uint8_t>();
    if (kind < 128) return static_cast<float>(kind - 32) / 16.0f;
    if (kind < 240) return static_cast<float>(bytes_.ConsumeIntegral<int16_t>()) / 512.0f;
    return FloatFromBits(bytes_.ConsumeIntegral<uint32_t>());
  }
  // From 0 to 1.
  float Fraction() { return static_cast<float>(bytes_.ConsumeIntegral<uint8_t>()) / 255.0f; }
  // Above 0, neither huge nor tiny.
  float Factor() { return static_cast<float>(Integer(1, 255)) / 16.0f; }

  std::vector<float> Floats(int64_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = Float();
    return values;
  }
  std::vector<Box> Boxes(int64_t count) {
    std::vector<Box> boxes(count);
    for (Box& box : boxes) box = {Float(), Float(), Float(), Float()};
    return boxes;
  }
  std::vector<uint8_t> Bytes(int64_t count) {
    std::vector<uint8_t> values(count);
    for (uint8_t& value : values) value = bytes_.ConsumeIntegral<uint8_t>();
    return values;
  }

 private:
  FuzzedDataProvider bytes_;
};

// `compute()` with every instruction set of this CPU; `same(first, other)` is required of each.
template <typename Compute, typename Same>
auto OnEveryInstructionSet(Compute compute, Same same) {
  const ScopedInstructionSet baseline(InstructionSet::kBaseline);
  auto first = compute();
  for (InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (!IsSupported(set)) continue;
    const ScopedInstructionSet scoped(set);
    FUZZ_CHECK(same(first, compute()));
  }
  return first;
}

// Bit by bit; any NaN equals any other, since an instruction may pass on either operand's.
inline bool SameFloat(float a, float b) {
  return BitsFromFloat(a) == BitsFromFloat(b) || (a != a && b != b);
}

inline bool SameFloats(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!SameFloat(a[i], b[i])) return false;
  }
  return true;
}

}  // namespace roadmark

#endif  // ROADMARK_CC_FUZZ_INPUT_H_
