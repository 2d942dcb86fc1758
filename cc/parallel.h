// A loop whose turns run on several threads.
#ifndef ROADMARK_CC_PARALLEL_H_
#define ROADMARK_CC_PARALLEL_H_

#include <cstdint>
#include <functional>

namespace roadmark {

// Calls turn(0) to turn(count - 1), each once, in no order, on this thread and up to `threads` - 1
// others, and returns when all are done. The other threads are kept for the next call; a forked
// process starts its own. Where the system gives no thread, this one does the work. `turn` must not
// throw.
void ParallelFor(int64_t count, int64_t threads, const std::function<void(int64_t)>& turn);

}  // namespace roadmark

#endif  // ROADMARK_CC_PARALLEL_H_
