#include "audit/background_writer.h"

#include <sched.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <system_error>

namespace vitrine::audit {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBatchBytes = 64 << 10;    // written at once when there is so much
constexpr auto kBatchTime = 100ms;               // and at the latest after so long
constexpr std::size_t kMaxQueueBytes = 4 << 20;  // as much again may be in the thread's hands
// Back-pressure, before a line is dropped. A disk that is busy for a moment is no stalled reader.
constexpr auto kMaxStall = 10ms;
constexpr auto kMaxFileStall = 500ms;

// The supervisor may sit on the program's CPU; the writer should not.
void allow_cpus(const cpu_set_t& cpus) { ::sched_setaffinity(0, sizeof cpus, &cpus); }

}  // namespace

struct BackgroundWriter::Shared {
  explicit Shared(UniqueFd fd) : output(std::move(fd)) {
    ::sched_getaffinity(0, sizeof cpus, &cpus);
  }

  std::mutex mutex;
  std::condition_variable work;   // for the thread
  std::condition_variable space;  // for append() and stop_thread()
  std::string queue;              // guarded by mutex, as `stopping` and `done`
  bool stopping = false;
  bool done = false;
  std::atomic<int> error = 0;
  LineOutput output;  // the thread's alone while it lives
  cpu_set_t cpus{};
};

BackgroundWriter::BackgroundWriter(UniqueFd fd)
    : shared_(std::make_shared<Shared>(std::move(fd))) {}

BackgroundWriter::~BackgroundWriter() { stop_thread(monotonic_now()); }

void BackgroundWriter::start() {
  if (thread_.joinable() || threadless_) return;
  sigset_t all;
  sigset_t previous;
  ::sigfillset(&all);
  // The supervisor's signals are for its own thread.
  ::pthread_sigmask(SIG_SETMASK, &all, &previous);
  try {
    thread_ = std::thread([shared = shared_] { run(shared); });
  } catch (const std::system_error&) {
    threadless_ = true;
  }
  ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

void BackgroundWriter::run(const std::shared_ptr<Shared>& shared) {
  allow_cpus(shared->cpus);
  std::string batch;
  std::unique_lock lock(shared->mutex);
  while (true) {
    shared->work.wait(lock, [&] { return shared->stopping || !shared->queue.empty(); });
    shared->work.wait_for(lock, kBatchTime,
                          [&] { return shared->stopping || shared->queue.size() >= kBatchBytes; });
    if (shared->queue.empty()) break;  // only when stopping
    batch.swap(shared->queue);
    lock.unlock();
    shared->space.notify_all();
    shared->output.write(batch);
    batch.clear();
    if (const int error = shared->output.error(); error != 0) shared->error = error;
    lock.lock();
  }
  shared->done = true;
  shared->space.notify_all();
}

bool BackgroundWriter::append(std::string_view line) {
  if (const int error = shared_->error; error != 0 && error != ENOBUFS) return false;
  if (threadless_) write_inline();
  std::unique_lock lock(shared_->mutex);
  if (shared_->queue.size() + line.size() > kMaxQueueBytes) {
    lock.unlock();
    if (!wait_for_space(line.size())) return false;
    lock.lock();
  }
  const std::size_t before = shared_->queue.size();
  shared_->queue += line;
  const bool batch_full = before < kBatchBytes && shared_->queue.size() >= kBatchBytes;
  lock.unlock();
  if (before == 0 || batch_full) shared_->work.notify_one();
  return true;
}

// Waits for a moment, and not again until the reader has taken something.
bool BackgroundWriter::wait_for_space(std::size_t bytes) {
  std::unique_lock lock(shared_->mutex);
  const auto has_space = [&] { return shared_->queue.size() + bytes <= kMaxQueueBytes; };
  const bool may_wait = !stalled_ && thread_.joinable();
  const auto patience = shared_->output.is_file() ? kMaxFileStall : kMaxStall;
  stalled_ = may_wait ? !shared_->space.wait_for(lock, patience, has_space) : !has_space();
  if (!stalled_) return true;
  int none = 0;
  shared_->error.compare_exchange_strong(none, ENOBUFS);
  return false;
}

void BackgroundWriter::flush() {
  if (threadless_) write_inline();
}

// A refused thread must not lose the log; a stalled reader then stalls this, but not for ever.
void BackgroundWriter::write_inline() {
  if (shared_->queue.size() < kBatchBytes) return;
  shared_->output.give_up_at(monotonic_now() + kMaxStall);
  shared_->output.write(shared_->queue);
  shared_->queue.clear();
  if (const int error = shared_->output.error(); error != 0) shared_->error = error;
}

// true: there is no thread any more.
bool BackgroundWriter::stop_thread(Nanoseconds deadline) {
  if (!thread_.joinable()) return true;
  shared_->output.give_up_at(deadline);
  std::unique_lock lock(shared_->mutex);
  shared_->stopping = true;
  shared_->work.notify_one();
  // LineOutput sees the deadline within 100 ms; only a hanging file system keeps it longer.
  const Nanoseconds patience = std::max<Nanoseconds>(deadline - monotonic_now(), 0ns) + 500ms;
  const bool done = shared_->space.wait_for(lock, patience, [&] { return shared_->done; });
  lock.unlock();
  if (done) {
    thread_.join();
  } else {
    thread_.detach();
  }
  return done;
}

Result<BackgroundWriter::Totals> BackgroundWriter::drain(Nanoseconds deadline) {
  if (!stop_thread(deadline)) return fail(ETIMEDOUT, "write the audit log");
  shared_->output.give_up_at(deadline);
  shared_->output.write(shared_->queue);  // what no thread wrote
  shared_->queue.clear();
  if (const int error = shared_->output.error(); error != 0) shared_->error = error;
  return Totals{shared_->output.lines(), shared_->output.digest()};
}

Status BackgroundWriter::write_last(std::string_view line) {
  shared_->output.write(line);
  if (const int error = shared_->output.error(); error != 0) {
    return fail(error, "write the audit log");
  }
  return {};
}

int BackgroundWriter::error() const { return shared_->error; }

}  // namespace vitrine::audit
