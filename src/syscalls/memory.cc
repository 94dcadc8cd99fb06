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
  const auto& memory = context.budget.limits().memory_bytes;
  if (!memory) return proceed();
  const std::uint64_t used = context.budget.memory_used();
  const std::uint64_t left = *memory > used ? *memory - used : 0;
  return context.call.event.arguments[1] <= left ? proceed() : out_of_memory(context);
}

Answer handle_madvise(Context&) { return deny(EINVAL, "madvise"); }

}  // namespace

void add_memory_handlers(HandlerTable& table) {
  table.add("mmap", handle_mmap);
  table.add("madvise", handle_madvise);
}

}  // namespace vitrine::syscalls
