// ProcNode: an entry of the processes' part of /proc. A value: nothing is kept of it.
#pragma once

#include <sys/types.h>

namespace vitrine::vfs {

struct ProcFileRow;  // proc_process.cc

struct ProcNode {
  enum class Kind {
    kRoot,
    kSelf,        // link
    kThreadSelf,  // link
    kProcess,     // /proc/PID
    kTaskFolder,  // /proc/PID/task
    kTask,        // /proc/PID/task/TID
    kFile,        // a row's file, of a process or a task
    kLink,        // a row's link: cwd, exe, root
    kFdFolder,
    kFd,  // link
    kFdInfoFolder,
    kFdInfo,
  };
  Kind kind = Kind::kRoot;
  pid_t tgid = 0;
  pid_t tid = 0;  // of the task below .../task, else tgid
  bool in_task = false;
  int number = -1;  // of kFd, kFdInfo
  const ProcFileRow* row = nullptr;
};

}  // namespace vitrine::vfs
