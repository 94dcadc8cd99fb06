#include "tracee/remote_memory.h"

#include <linux/limits.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vitrine::tracee {
namespace {

constexpr std::uint64_t kPage = 4096;

// ESRCH: the task is gone. EPERM (it made itself unreadable) counts as unreadable memory: deny.
Error memory_error(const char* operation) {
  if (errno == ESRCH) return Error{Error::Kind::kTaskGone, ESRCH, operation};
  return Error{Error::Kind::kSystem, EFAULT, operation};
}

}  // namespace

Status RemoteMemory::read(RemoteAddress from, std::span<std::byte> out) const {
  if (out.empty()) return {};
  iovec local{out.data(), out.size()};
  iovec remote{reinterpret_cast<void*>(from), out.size()};
  const ssize_t got = ::process_vm_readv(tid_, &local, 1, &remote, 1, 0);
  if (got == static_cast<ssize_t>(out.size())) return {};
  if (got >= 0) errno = EFAULT;
  return tl::make_unexpected(memory_error("process_vm_readv"));
}

Status RemoteMemory::write(RemoteAddress to, std::span<const std::byte> bytes) const {
  if (bytes.empty()) return {};
  iovec local{const_cast<std::byte*>(bytes.data()), bytes.size()};
  iovec remote{reinterpret_cast<void*>(to), bytes.size()};
  const ssize_t put = ::process_vm_writev(tid_, &local, 1, &remote, 1, 0);
  if (put == static_cast<ssize_t>(bytes.size())) return {};
  if (put >= 0) errno = EFAULT;
  return tl::make_unexpected(memory_error("process_vm_writev"));
}

StringArgument RemoteMemory::read_path(RemoteAddress from) const {
  // One read to the page's end finds nearly every path; the next page is read only when it is
  // needed.
  char buffer[PATH_MAX];
  std::size_t filled = 0;
  while (filled < sizeof buffer) {
    const RemoteAddress at = from + filled;
    const std::size_t to_page_end = kPage - (at % kPage);
    // Short first: most paths are shorter than 256 bytes and copying costs.
    const std::size_t wanted =
        std::min({to_page_end, sizeof buffer - filled, filled == 0 ? std::size_t{256} : kPage});
    const Status status = read(at, std::as_writable_bytes(std::span(buffer + filled, wanted)));
    if (!status) return {{}, status.error().kind == Error::Kind::kTaskGone ? ESRCH : EFAULT};
    if (std::memchr(buffer + filled, 0, wanted) != nullptr) return {std::string(buffer), 0};
    filled += wanted;
  }
  return {{}, ENAMETOOLONG};
}

DecodedCall decode(const SyscallEvent& event) {
  DecodedCall call;
  call.event = event;
  // x32 numbers are positive ints with one high bit; negative numbers are merely unknown.
  call.foreign_abi = event.audit_arch != arch::kNativeAuditArch ||
                     ((event.number & arch::kX32Bit) != 0 && event.number < 0x80000000);
  if (call.foreign_abi) return call;
  call.row = arch::find_syscall(event.number);
  if (call.row == nullptr) return call;
  const RemoteMemory memory(event.tid);
  for (std::size_t i = 0; i < call.row->arguments.size(); ++i) {
    if (call.row->arguments[i].kind == arch::kPath) {
      call.strings[i] = memory.read_path(event.arguments[i]);
    }
  }
  return call;
}

}  // namespace vitrine::tracee
