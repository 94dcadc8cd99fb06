#include "tracee/memory.h"

#include <linux/limits.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vitrine::tracee {
namespace {

constexpr std::uint64_t kPage = 4096;

}  // namespace

StringArgument Memory::read_path(RemoteAddress from) const {
  // One read to the page's end finds nearly every path; the next page is read only when it is
  // needed.
  char buffer[PATH_MAX];
  std::size_t filled = 0;
  while (filled < sizeof buffer) {
    const RemoteAddress at = from + filled;
    if (at < from) return {{}, EFAULT};  // behind the last address
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

DecodedCall decode(const SyscallEvent& event, const Memory& memory) {
  DecodedCall call;
  call.event = event;
  // x32 numbers are positive ints with one high bit; negative numbers are merely unknown.
  call.foreign_abi = event.audit_arch != arch::kNativeAuditArch ||
                     ((event.number & arch::kX32Bit) != 0 && event.number < 0x80000000);
  if (call.foreign_abi) return call;
  call.row = arch::find_syscall(event.number);
  if (call.row == nullptr) return call;
  for (std::size_t i = 0; i < call.row->arguments.size(); ++i) {
    if (call.row->arguments[i].kind == arch::kPath) {
      call.strings[i] = memory.read_path(event.arguments[i]);
    }
  }
  return call;
}

}  // namespace vitrine::tracee
