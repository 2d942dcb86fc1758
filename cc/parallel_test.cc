#include "cc/parallel.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace roadmark {
namespace {

std::vector<int> TurnsTaken(int64_t count, int64_t threads) {
  std::vector<std::atomic<int>> turns(count);
  ParallelFor(count, threads, [&](int64_t i) { ++turns[i]; });
  return std::vector<int>(turns.begin(), turns.end());
}

TEST(ParallelForTest, EveryTurnIsTakenOnce) {
  for (int64_t count : {0, 1, 2, 7, 1000}) {
    for (int64_t threads : {-1, 0, 1, 2, 5}) {
      EXPECT_EQ(TurnsTaken(count, threads), std::vector<int>(count, 1)) << count << ' ' << threads;
    }
  }
}

TEST(ParallelForTest, TwoThreadsWorkAtOnce) {
  // Each turn waits for the other: one thread alone would never end.
  std::atomic<int> arrived{0};
  ParallelFor(2, 2, [&](int64_t) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 2);
}

TEST(ParallelForTest, LoopsMayNestAndRunSideBySide) {
  std::atomic<int64_t> sum{0};
  const auto nested = [&] {
    ParallelFor(10, 3,
                [&](int64_t i) { ParallelFor(10, 3, [&](int64_t k) { sum += 10 * i + k; }); });
  };
  std::thread other(nested);
  nested();
  other.join();
  EXPECT_EQ(sum, 2 * 99 * 100 / 2);
}

TEST(ParallelForTest, AForkedProcessHasThreadsOfItsOwn) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer lets no process start threads that was forked from threads";
#endif
  TurnsTaken(10, 2);  // The parent's threads are running.
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(TurnsTaken(100, 2) == std::vector<int>(100, 1) ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace roadmark
