#include "tracee/remote_memory.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/feature.h"
#include "base/unique_fd.h"

namespace vitrine::tracee {
namespace {

// ESRCH: the task is gone. EPERM (it made itself unreadable) counts as unreadable memory: deny.
Error memory_error(const char* operation) {
  if (errno == ESRCH) return Error{Error::Kind::kTaskGone, ESRCH, operation};
  return Error{Error::Kind::kSystem, EFAULT, operation};
}

// Not built in, or refused by a filter (or by the task's own state: then the others fail as well).
bool is_call_refused(int error) { return error == ENOSYS || error == EPERM; }

UniqueFd open_memory(pid_t tid, int flags) {
  if (fails_as_absent(Feature::kProcMem, ENOENT)) return UniqueFd();
  char path[48];
  std::snprintf(path, sizeof path, "/proc/%d/mem", tid);
  return UniqueFd(::open(path, flags | O_CLOEXEC));
}

// Of a task in a ptrace-stop; of any other these fail with ESRCH.
bool peek(pid_t tid, RemoteAddress at, unsigned long& word) {
  errno = 0;
  word = static_cast<unsigned long>(
      ::ptrace(PTRACE_PEEKDATA, tid, reinterpret_cast<void*>(at), nullptr));
  return errno == 0;
}

bool poke(pid_t tid, RemoteAddress at, unsigned long word) {
  return ::ptrace(PTRACE_POKEDATA, tid, reinterpret_cast<void*>(at), word) == 0;
}

// A range that wraps around holds no memory.
bool wraps(RemoteAddress from, std::size_t size) { return from + size + sizeof(long) < from; }

// The part of the aligned word at `at` that lies in a range of `size` bytes from `from`.
struct WordPart {
  std::size_t in_word;
  std::size_t in_range;
  std::size_t length;
};

WordPart part_of(RemoteAddress at, RemoteAddress from, std::size_t size) {
  const RemoteAddress first = std::max(at, from);
  const RemoteAddress last = std::min(at + sizeof(long), from + size);
  return {first - at, first - from, last - first};
}

Status read_otherwise(pid_t tid, RemoteAddress from, std::span<std::byte> out) {
  if (const UniqueFd memory = open_memory(tid, O_RDONLY)) {
    const ssize_t got = ::pread(memory.get(), out.data(), out.size(), static_cast<off_t>(from));
    if (got == static_cast<ssize_t>(out.size())) return {};
    return fail(EFAULT, "/proc/PID/mem");
  }
  if (wraps(from, out.size())) return fail(EFAULT, "ptrace(PTRACE_PEEKDATA)");
  for (RemoteAddress at = from & ~(sizeof(long) - 1); at < from + out.size(); at += sizeof(long)) {
    unsigned long word = 0;
    if (!peek(tid, at, word)) return fail(EFAULT, "ptrace(PTRACE_PEEKDATA)");
    const WordPart part = part_of(at, from, out.size());
    std::memcpy(out.data() + part.in_range, reinterpret_cast<char*>(&word) + part.in_word,
                part.length);
  }
  return {};
}

Status write_otherwise(pid_t tid, RemoteAddress to, std::span<const std::byte> bytes) {
  if (const UniqueFd memory = open_memory(tid, O_WRONLY)) {
    const ssize_t put = ::pwrite(memory.get(), bytes.data(), bytes.size(), static_cast<off_t>(to));
    if (put == static_cast<ssize_t>(bytes.size())) return {};
    if (put >= 0 || errno != EINVAL) return fail(EFAULT, "/proc/PID/mem");
    // gVisor's can only be read.
  }
  if (wraps(to, bytes.size())) return fail(EFAULT, "ptrace(PTRACE_POKEDATA)");
  for (RemoteAddress at = to & ~(sizeof(long) - 1); at < to + bytes.size(); at += sizeof(long)) {
    unsigned long word = 0;
    const WordPart part = part_of(at, to, bytes.size());
    if (part.length < sizeof word && !peek(tid, at, word)) {
      return fail(EFAULT, "ptrace(PTRACE_PEEKDATA)");
    }
    std::memcpy(reinterpret_cast<char*>(&word) + part.in_word, bytes.data() + part.in_range,
                part.length);
    if (!poke(tid, at, word)) return fail(EFAULT, "ptrace(PTRACE_POKEDATA)");
  }
  return {};
}

}  // namespace

Status RemoteMemory::read(RemoteAddress from, std::span<std::byte> out) const {
  if (out.empty()) return {};
  iovec local{out.data(), out.size()};
  iovec remote{reinterpret_cast<void*>(from), out.size()};
  const ssize_t got = fails_as_absent(Feature::kProcessVm, ENOSYS)
                          ? -1
                          : ::process_vm_readv(tid_, &local, 1, &remote, 1, 0);
  if (got == static_cast<ssize_t>(out.size())) return {};
  if (got >= 0) errno = EFAULT;
  if (!is_call_refused(errno)) return tl::make_unexpected(memory_error("process_vm_readv"));
  return read_otherwise(tid_, from, out);
}

Status RemoteMemory::write(RemoteAddress to, std::span<const std::byte> bytes) const {
  if (bytes.empty()) return {};
  iovec local{const_cast<std::byte*>(bytes.data()), bytes.size()};
  iovec remote{reinterpret_cast<void*>(to), bytes.size()};
  const ssize_t put = fails_as_absent(Feature::kProcessVm, ENOSYS)
                          ? -1
                          : ::process_vm_writev(tid_, &local, 1, &remote, 1, 0);
  if (put == static_cast<ssize_t>(bytes.size())) return {};
  if (put >= 0) errno = EFAULT;
  if (!is_call_refused(errno)) return tl::make_unexpected(memory_error("process_vm_writev"));
  return write_otherwise(tid_, to, bytes);
}

bool RemoteMemory::is_open_while_running(RemoteAddress known) const {
  char byte = 0;
  const iovec local{&byte, 1};
  const iovec remote{reinterpret_cast<void*>(known), 1};
  return (!is_taken_away(Feature::kProcessVm) &&
          ::process_vm_readv(tid_, &local, 1, &remote, 1, 0) == 1) ||
         open_memory(tid_, O_RDWR);
}

}  // namespace vitrine::tracee
