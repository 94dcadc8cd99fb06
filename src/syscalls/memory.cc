// Memory that RLIMIT_DATA does not bound: mappings the filter sends here. Decided on registers.
#include <sys/epoll.h>
#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

constexpr std::uint64_t kPage = 4096;
// Filling a mapping holds the lock of the memory (mm/gup.c, __mm_populate), for which the
// supervisor would wait with the call of another thread in its hands: for less than a tenth of a
// second.
constexpr std::uint64_t kMostPopulated = 256U << 20;

Answer out_of_memory(Context& context) {
  context.budget.refused("memory");
  return deny(ENOMEM, "limit:memory");
}

Answer map_shared(Context& context, std::uint64_t length) {
  const std::uint64_t size = (length + kPage - 1) & ~(kPage - 1);
  const bool plain = (context.call.int_argument(3) & MAP_TYPE) == MAP_SHARED;
  if (!plain || length == 0 || context.call.event.arguments[5] % kPage != 0)
    return serve_error(EINVAL);
  if (size < length) return serve_error(ENOMEM);
  if (!context.budget.shared_memory_fits(size)) return out_of_memory(context);
  Result<UniqueFd> memory = context.files.create_shared_memory(size);
  if (!memory) return serve_error(ENOMEM);
  return {MapFile{std::move(*memory)}, {Action::kServe, 0, "memory"}};
}

Answer handle_mmap(Context& context) {
  const int flags = context.call.int_argument(3);
  if ((flags & MAP_HUGETLB) != 0) return deny(ENOMEM, "huge-pages");
  if ((flags & MAP_GROWSDOWN) != 0) return deny(EPERM, "grows-down");
  if ((flags & MAP_LOCKED) != 0) return serve_error(EAGAIN);  // RLIMIT_MEMLOCK is 0
  const std::uint64_t length = context.call.event.arguments[1];
  constexpr int kSharedAnonymous = MAP_SHARED | MAP_ANONYMOUS;
  if ((flags & kSharedAnonymous) == kSharedAnonymous) return map_shared(context, length);
  if ((flags & MAP_POPULATE) != 0) {
    const bool fits =
        length <= kMostPopulated && context.budget.private_memory_fits(context.task.tgid, length);
    if (!fits) return out_of_memory(context);
  }
  if ((flags & MAP_ANONYMOUS) == 0) return proceed();  // of an own descriptor
  // What cannot be written is not charged to the data segment (mm/mmap.c, is_data_mapping); once
  // mprotect(2) makes it writable, the kernel charges it by itself. That is the next thing to
  // happen to a stack (nptl/allocatestack.c), and refused here it is known why.
  const bool becomes_data =
      (context.call.int_argument(2) & PROT_WRITE) != 0 || (flags & MAP_STACK) != 0;
  if (!becomes_data) return proceed();
  const bool fits = context.budget.private_memory_fits(context.task.tgid, length);
  return fits ? proceed() : out_of_memory(context);
}

Answer handle_epoll_ctl(Context& context) {
  if (context.call.int_argument(1) != EPOLL_CTL_ADD) return serve_error(EINVAL);
  if (context.budget.admit_watch()) return proceed();
  context.budget.refused("memory");
  return deny(ENOSPC, "limit:memory");
}

Answer handle_madvise(Context&) { return deny(EINVAL, "madvise"); }

}  // namespace

void add_memory_handlers(HandlerTable& table) {
  table.add("mmap", handle_mmap);
  table.add("madvise", handle_madvise);
  table.add("epoll_ctl", handle_epoll_ctl);
}

}  // namespace vitrine::syscalls
