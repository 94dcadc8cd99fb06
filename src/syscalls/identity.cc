// uname(2), and the calls that change identity: only to what it is already.
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "syscalls/families.h"
#include "syscalls/paths.h"
#include "tracee/proc_status.h"

namespace vitrine::syscalls {
namespace {

// The host's name and build are not the program's business; the release decides what libraries try.
Answer handle_uname(Context& context) {
  utsname host{};
  if (::uname(&host) != 0) return serve_error(errno);
  utsname shown{};
  std::snprintf(shown.sysname, sizeof shown.sysname, "%s", host.sysname);
  std::snprintf(shown.nodename, sizeof shown.nodename, "vitrine");
  std::snprintf(shown.release, sizeof shown.release, "%s", host.release);
  std::snprintf(shown.version, sizeof shown.version, "#1 SMP");
  std::snprintf(shown.machine, sizeof shown.machine, "%s", host.machine);
  std::snprintf(shown.domainname, sizeof shown.domainname, "(none)");
  return answer_with(context, context.call.event.arguments[0], shown);
}

Answer keep_ids(Context& context, std::size_t count, std::uint32_t own) {
  constexpr std::uint32_t kUnchanged = 0xffffffff;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t id = context.call.unsigned_argument(i);
    if (id != own && !(count > 1 && id == kUnchanged)) return deny(EPERM, "identity");
  }
  return serve();
}

template <std::size_t kCount>
Answer keep_users(Context& context) {
  Result<tracee::ProcStatus> status = tracee::read_proc_status(context.task.tid);
  return status ? keep_ids(context, kCount, status->uid) : deny(EPERM, "identity");
}

template <std::size_t kCount>
Answer keep_groups(Context& context) {
  Result<tracee::ProcStatus> status = tracee::read_proc_status(context.task.tid);
  return status ? keep_ids(context, kCount, status->gid) : deny(EPERM, "identity");
}

}  // namespace

void add_identity_handlers(HandlerTable& table) {
  table.add("uname", handle_uname);
  table.add("setuid", keep_users<1>);
  table.add("setgid", keep_groups<1>);
  table.add("setreuid", keep_users<2>);
  table.add("setregid", keep_groups<2>);
  table.add("setresuid", keep_users<3>);
  table.add("setresgid", keep_groups<3>);
}

}  // namespace vitrine::syscalls
