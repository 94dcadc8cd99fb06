// What the handlers of calls that name files or processes have in common.
#pragma once

#include <optional>

#include "syscalls/context.h"

namespace vitrine::syscalls {

// The folder that argument `index` (a dirfd or AT_FDCWD) stands for. An absolute path does not need
// it: then the descriptor is not even looked at, as in the kernel.
Result<vfs::DirectoryRef> base_folder(Context& context, std::size_t index, std::string_view path);

// Argument `index` as a descriptor of the calling task.
Result<vfs::FileSystem::GuestFd> guest_fd(Context& context, std::size_t index);

// The string of argument `index`. Its error (EFAULT, ENAMETOOLONG) is the call's.
Result<std::string_view> path_argument(const Context& context, std::size_t index);

// An answer from what the virtual filesystem said: a refusal of what is not shown, or of a write to
// what is read-only, is a denial; everything else is what a kernel would say too.
Answer answer(Context& context, const Status& status);
Answer answer_error(Context& context, const Error& error);

// The answer to a call that would make a file of `size` bytes longer than RLIMIT_FSIZE as the
// program set it, with its signal (inode_newsize_ok, fs/attr.c); nullopt: it would not.
std::optional<Answer> past_own_limit(const Context& context, std::uint64_t size,
                                     std::uint64_t wanted);

// Whether `pid` is a process of the run that has ended and that its parent has not waited for. No
// call may go on in the kernel for that: the parent can let the number go at any moment.
bool is_zombie(const Context& context, pid_t pid);

// Writes an output structure; EFAULT becomes the call's error.
template <typename T>
Answer answer_with(Context& context, std::uint64_t address, const T& value) {
  if (Status written = context.memory.write_value(address, value); !written) {
    return serve_error(written.error().code);
  }
  return serve();
}

}  // namespace vitrine::syscalls
