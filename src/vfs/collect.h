// Collector: copies what a run left in scratch to the host.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "vfs/scratch.h"

namespace vitrine::vfs {

class Collector {
 public:
  Collector(const Scratch& scratch, std::uint64_t limit_bytes)
      : scratch_(scratch), limit_(limit_bytes) {}
  // EFBIG, before anything is written, when the files together are larger than the limit.
  Status copy(const ScratchNodePtr& node, const std::string& host);

 private:
  Status measure(const ScratchNodePtr& top);
  Status copy_tree(const ScratchNode& top, int parent, const std::string& name);
  Status copy_file(const ScratchNode& node, int folder, const std::string& name);
  static Result<UniqueFd> make_folder(int parent, const std::string& name);

  const Scratch& scratch_;
  std::uint64_t limit_;
  std::uint64_t bytes_ = 0;
};

}  // namespace vitrine::vfs
