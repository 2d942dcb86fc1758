#include "cc/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace roadmark {
namespace {

class Loop {
 public:
  Loop(int64_t count, const std::function<void(int64_t)>& turn) : count_(count), turn_(turn) {}

  // Takes turns until none is left. `turn_` is alive then: the caller waits for every turn.
  void Work() {
    for (int64_t i = next_++; i < count_; i = next_++) {
      turn_(i);
      if (++done_ < count_) continue;
      const std::lock_guard<std::mutex> lock(mutex_);
      all_done_.notify_all();
    }
  }

  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    all_done_.wait(lock, [this] { return done_ == count_; });
  }

 private:
  const int64_t count_;
  const std::function<void(int64_t)>& turn_;
  std::atomic<int64_t> next_{0}, done_{0};
  std::mutex mutex_;
  std::condition_variable all_done_;
};

class Pool {
 public:
  // Asks `helpers` threads to work on `loop`.
  void Add(const std::shared_ptr<Loop>& loop, int64_t helpers) {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (threads_ < helpers && StartThread()) ++threads_;
    loops_.insert(loops_.end(), std::min(helpers, threads_), loop);
    not_empty_.notify_all();
  }

 private:
  bool StartThread() {
    try {
      std::thread([this] { Serve(); }).detach();
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }

  void Serve() {
    for (;;) {
      std::shared_ptr<Loop> loop;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        not_empty_.wait(lock, [this] { return !loops_.empty(); });
        loop = std::move(loops_.front());
        loops_.pop_front();
      }
      loop->Work();
    }
  }

  std::mutex mutex_;
  std::condition_variable not_empty_;
  std::deque<std::shared_ptr<Loop>> loops_;
  int64_t threads_ = 0;
};

// Never destroyed: its threads wait on it until the process ends. A forked process has no copy of
// the threads, and perhaps a locked mutex, so it takes a new pool.
std::atomic<Pool*> shared_pool{nullptr};

Pool* SharedPool() {
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { shared_pool.store(nullptr); });
  static_cast<void>(registered);
  Pool* pool = shared_pool.load();
  if (pool != nullptr) return pool;
  auto fresh = std::make_unique<Pool>();
  return shared_pool.compare_exchange_strong(pool, fresh.get()) ? fresh.release() : pool;
}

}  // namespace

void ParallelFor(int64_t count, int64_t threads, const std::function<void(int64_t)>& turn) {
  const int64_t helpers = std::min(threads, count) - 1;
  if (helpers <= 0) {
    for (int64_t i = 0; i < count; ++i) turn(i);
    return;
  }
  const auto loop = std::make_shared<Loop>(count, turn);
  SharedPool()->Add(loop, helpers);
  loop->Work();
  loop->Wait();
}

}  // namespace roadmark
