#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "cc/cuda/emulation/cuda_runtime.h"

namespace roadmark {
namespace cuda {
namespace emulation {
namespace {

constexpr unsigned kWarpSize = 32;
constexpr size_t kStackBytes = 256 << 10;

// Lets threads pass when as many as are left have come.
struct Barrier {
  unsigned expected = 0, arrived = 0;
  uint64_t round = 0;

  void Arrive() {
    ++arrived;
    OpenIfAllCame();
  }
  void Leave() {
    --expected;
    OpenIfAllCame();
  }
  void OpenIfAllCame() {
    if (arrived == 0 || arrived < expected) return;
    arrived = 0;
    ++round;
  }
};

struct Warp {
  Barrier barrier;
  uint64_t values[kWarpSize];
  unsigned votes;
};

struct Thread {
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  ucontext_t context;
  bool has_ended;
  const Barrier* waits_for;
  uint64_t round;  // Of that barrier, which it must leave behind.

  bool CanRun() const { return !has_ended && !(waits_for && waits_for->round == round); }
};

struct Block {
  dim3 index, grid;
  Barrier barrier;
  std::vector<Warp> warps;
  std::vector<Thread> threads;
  unsigned current;
  bool any;
  ucontext_t scheduler;
  const std::function<void()>* body;
};

// One launch at a time on each thread of the host.
thread_local Block block;
thread_local std::mt19937 order(1);

Warp& OwnWarp() { return block.warps[block.current / kWarpSize]; }

void Wait(Barrier* barrier) {
  Thread& own = block.threads[block.current];
  own.waits_for = barrier;
  own.round = barrier->round;
  barrier->Arrive();
  if (!own.CanRun()) swapcontext(&own.context, &block.scheduler);
  own.waits_for = nullptr;
}

void RunThread() {
  (*block.body)();
  block.threads[block.current].has_ended = true;
  block.barrier.Leave();
  OwnWarp().barrier.Leave();
  swapcontext(&block.threads[block.current].context, &block.scheduler);
}

void StartThreads(unsigned count) {
  block.warps.assign((count + kWarpSize - 1) / kWarpSize, Warp());
  block.barrier = Barrier();
  block.barrier.expected = count;
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = block.threads[i];
    thread.has_ended = false;
    thread.waits_for = nullptr;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.get();
    thread.context.uc_stack.ss_size = kStackBytes;
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, &RunThread, 0);
    ++block.warps[i / kWarpSize].barrier.expected;
  }
}

void RunBlock(unsigned count) {
  StartThreads(count);
  for (unsigned left = count; left > 0;) {
    const unsigned first = order() % count;
    const bool is_backwards = order() % 2;
    bool has_run = false;
    left = 0;
    for (unsigned i = 0; i < count; ++i) {
      block.current = (is_backwards ? count - 1 - i + first : i + first) % count;
      Thread& thread = block.threads[block.current];
      if (thread.CanRun()) {
        has_run = true;
        swapcontext(&block.scheduler, &thread.context);
      }
      left += !thread.has_ended;
    }
    if (left > 0 && !has_run) {
      std::fprintf(stderr, "block %u, %u: all threads wait\n", block.index.x, block.index.y);
      std::abort();
    }
  }
}

}  // namespace

void Run(dim3 grid, int threads, const std::function<void()>& body) {
  const auto count = static_cast<unsigned>(threads);
  if (block.threads.size() < count) block.threads.resize(count);
  block.grid = grid;
  block.body = &body;
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        block.index = dim3(x, y, z);
        RunBlock(count);
      }
    }
  }
}

dim3 ThreadIndex() { return dim3(block.current, 0, 0); }
dim3 BlockIndex() { return block.index; }
dim3 GridSize() { return block.grid; }
unsigned Lane() { return block.current % kWarpSize; }

void WaitForBlock() { Wait(&block.barrier); }
void WaitForWarp() { Wait(&OwnWarp().barrier); }

uint64_t Exchange(uint64_t value, unsigned lane) {
  Warp& warp = OwnWarp();
  warp.values[Lane()] = value;
  WaitForWarp();
  const uint64_t found = warp.values[lane];
  WaitForWarp();
  return found;
}

unsigned Ballot(bool value) {
  Warp& warp = OwnWarp();
  if (Lane() == 0) warp.votes = 0;
  WaitForWarp();
  warp.votes |= static_cast<unsigned>(value) << Lane();
  WaitForWarp();
  const unsigned votes = warp.votes;
  WaitForWarp();
  return votes;
}

bool AnyOfBlock(bool value) {
  block.any = false;
  WaitForBlock();
  block.any |= value;
  WaitForBlock();
  const bool any = block.any;
  WaitForBlock();
  return any;
}

}  // namespace emulation
}  // namespace cuda
}  // namespace roadmark
