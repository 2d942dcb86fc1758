#include "cc/multiversion.h"

namespace roadmark {
namespace {

InstructionSet Best() {
  for (InstructionSet set : {InstructionSet::kAvx512, InstructionSet::kAvx2}) {
    if (IsSupported(set)) return set;
  }
  return InstructionSet::kBaseline;
}

InstructionSet& Current() {
  static InstructionSet current = Best();
  return current;
}

}  // namespace

bool IsSupported(InstructionSet instructions) {
  if (instructions == InstructionSet::kBaseline) return true;
#if defined(__x86_64__)
  // These ask the operating system too: it must save the wide registers.
  if (instructions == InstructionSet::kAvx2) return __builtin_cpu_supports("avx2");
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

InstructionSet CurrentInstructionSet() { return Current(); }

ScopedInstructionSet::ScopedInstructionSet(InstructionSet instructions) : previous_(Current()) {
  Current() = instructions;
}

ScopedInstructionSet::~ScopedInstructionSet() { Current() = previous_; }

}  // namespace roadmark
