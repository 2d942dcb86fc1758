// One portable binary, the best instructions of the CPU it runs on.
//
// A kernel is a struct with a static, always-inline Run() in plain C++. MultiVersion<Kernel>::Run()
// holds one copy of it per instruction set and calls the one that fits. GCC's target_clones would
// do the same with less code, but a test could not choose the copy, and "the same bits on every
// CPU" would stay a claim. What Run() calls is inlined into the copies as well, unless it is a libm
// function: use cc/math.h. A lambda must be ROADMARK_INLINED: else it may stay apart, compiled for
// the baseline.
#ifndef ROADMARK_CC_MULTIVERSION_H_
#define ROADMARK_CC_MULTIVERSION_H_

#include <utility>

#define ROADMARK_KERNEL static inline __attribute__((always_inline))
#define ROADMARK_INLINED __attribute__((always_inline))

namespace roadmark {

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

// Whether this CPU has it.
bool IsSupported(InstructionSet instructions);

// What kernels run with: the best supported set unless a test chose another one.
InstructionSet CurrentInstructionSet();

// Chooses `instructions` for the life of this object. For tests: not thread-safe.
class ScopedInstructionSet {
 public:
  explicit ScopedInstructionSet(InstructionSet instructions);
  ~ScopedInstructionSet();
  ScopedInstructionSet(const ScopedInstructionSet&) = delete;
  ScopedInstructionSet& operator=(const ScopedInstructionSet&) = delete;

 private:
  InstructionSet previous_;
};

template <typename Kernel>
class MultiVersion {
 public:
  template <typename... Args>
  static auto Run(Args... args) {
#if defined(__x86_64__)
    switch (CurrentInstructionSet()) {
      case InstructionSet::kAvx512:
        return RunAvx512(args...);
      case InstructionSet::kAvx2:
        return RunAvx2(args...);
      case InstructionSet::kBaseline:
        break;
    }
#endif
    return Kernel::Run(args...);
  }

 private:
#if defined(__x86_64__)
  template <typename... Args>
  __attribute__((target("avx2"), flatten)) static auto RunAvx2(Args... args) {
    return Kernel::Run(args...);
  }

  template <typename... Args>
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), flatten)) static auto RunAvx512(
      Args... args) {
    return Kernel::Run(args...);
  }
#endif
};

}  // namespace roadmark

#endif  // ROADMARK_CC_MULTIVERSION_H_
