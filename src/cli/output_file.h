// The files that a run writes on the host: opened before anything of the command runs, so that a
// path that cannot be written is found in time.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cli/options.h"
#include "core/report.h"

namespace vitrine::cli {

// Every descriptor that the options name is open (and writable where it is written to). To be
// called before anything is opened: a new descriptor could take a number that the user named.
Status check_descriptors(const RunOptions& options);

// Makes or truncates the file (mode 0666 less the umask, as a shell's redirection does, but a
// symbolic link is not followed: the folder may be one that others write to), or duplicates the
// descriptor. Close-on-exec either way.
Result<UniqueFd> open_destination(const Destination& destination);

Status write_whole(int fd, std::string_view text);

// A file that appears under its name when it is complete, or not at all. What has the name and is
// no regular file (/dev/null, a pipe, a link such as /dev/stdout) is written to: it must not be
// replaced.
class NewFile {
 public:
  // Makes `name` with ".part" behind it, with the permissions of the file that has the name now.
  static Result<NewFile> create(const std::string& name);
  ~NewFile();
  NewFile(NewFile&& other) noexcept
      : name_(std::exchange(other.name_, "")), fd_(std::move(other.fd_)) {}
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  NewFile& operator=(NewFile&&) = delete;

  // Writes it and gives it its name; once.
  Status finish(std::string_view text);

 private:
  NewFile(std::string name, UniqueFd fd) : name_(std::move(name)), fd_(std::move(fd)) {}
  std::string temporary() const { return name_ + ".part"; }

  std::string name_;  // "" where there is nothing to take away
  UniqueFd fd_;
};

}  // namespace vitrine::cli
