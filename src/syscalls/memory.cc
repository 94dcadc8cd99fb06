// Memory that RLIMIT_DATA does not bound: mappings the filter sends here. Decided on registers.
#include <sys/mman.h>

#include <cerrno>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

Answer out_of_memory(Context& context) {
  context.budget.refused("memory");
  return deny(ENOMEM, "limit:memory");
}

Answer handle_mmap(Context& context) {
  const int flags = context.call.int_argument(3);
  if ((flags & MAP_HUGETLB) != 0) return deny(ENOMEM, "huge-pages");
  if ((flags & MAP_GROWSDOWN) != 0) return deny(EPERM, "grows-down");
  if ((flags & MAP_LOCKED) != 0) return serve_error(EAGAIN);  // RLIMIT_MEMLOCK is 0
  const std::uint64_t length = context.call.event.arguments[1];
  const bool fits = (flags & MAP_SHARED) != 0
                        ? context.budget.shared_memory_fits(length)
                        : context.budget.private_memory_fits(context.task.tgid, length);
  return fits ? proceed() : out_of_memory(context);
}

Answer handle_madvise(Context&) { return deny(EINVAL, "madvise"); }

}  // namespace

void add_memory_handlers(HandlerTable& table) {
  table.add("mmap", handle_mmap);
  table.add("madvise", handle_madvise);
}

}  // namespace vitrine::syscalls
