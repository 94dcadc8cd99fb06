#include "cli/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace vitrine::cli {
namespace {

Status check_writable(const std::optional<Destination>& destination) {
  if (!destination || destination->fd < 0) return {};
  const std::string spelled = destination->option + " " + std::to_string(destination->fd);
  const int flags = ::fcntl(destination->fd, F_GETFL);
  if (flags < 0) return fail_errno(spelled);
  if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_RDONLY) {
    return fail_invalid(spelled + ": the descriptor is not open for writing");
  }
  return {};
}

}  // namespace

Status check_descriptors(const RunOptions& options) {
  for (const int fd : options.pass_fds) {
    if (::fcntl(fd, F_GETFD) < 0) return fail_errno("--pass-fd " + std::to_string(fd));
  }
  if (auto report = check_writable(options.report); !report) return report;
  return check_writable(options.audit);
}

Result<UniqueFd> open_destination(const Destination& destination) {
  if (destination.fd >= 0) {
    UniqueFd copy(::fcntl(destination.fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) return fail_errno(destination.option + " " + std::to_string(destination.fd));
    return copy;
  }
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
  UniqueFd fd(::open(destination.file.c_str(), kFlags, 0666));
  if (!fd) return fail_errno(destination.option + " " + destination.file);
  return fd;
}

Status write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("write");
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<NewFile> NewFile::create(const std::string& name) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY;
  struct stat former {};
  const bool exists = ::stat(name.c_str(), &former) == 0;
  struct stat own {};
  const bool link = ::lstat(name.c_str(), &own) == 0 && S_ISLNK(own.st_mode);
  if (link || (exists && !S_ISREG(former.st_mode))) {
    const int create = link ? O_CREAT | O_TRUNC : 0;
    UniqueFd fd(::open(name.c_str(), O_WRONLY | create | O_CLOEXEC | O_NOCTTY, 0666));
    if (!fd) return fail_errno(name);
    return NewFile("", std::move(fd));
  }
  const std::string temporary = name + ".part";
  ::unlink(temporary.c_str());  // one that was left; somebody else's makes the next call fail
  UniqueFd fd(::open(temporary.c_str(), kFlags, 0666));
  if (!fd) return fail_errno(temporary);
  if (exists && ::fchmod(fd.get(), former.st_mode & 0777) != 0) {
    return fail_errno(temporary);
  }
  return NewFile(name, std::move(fd));
}

NewFile::~NewFile() {
  if (!name_.empty()) ::unlink(temporary().c_str());
}

Status NewFile::finish(std::string_view text) {
  if (auto written = write_whole(fd_.get(), text); !written) {
    return name_.empty() ? written : fail(written.error().code, temporary());
  }
  if (name_.empty()) return {};
  if (::rename(temporary().c_str(), name_.c_str()) != 0) return fail_errno(name_);
  name_.clear();
  return {};
}

}  // namespace vitrine::cli
