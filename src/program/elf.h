// What an ELF program needs to be loaded: a small reader for files that may be hostile. Bounded,
// and every offset is checked.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace vitrine::program {

struct ElfNeeds {
  std::string loader;                  // PT_INTERP; "" if the program is static
  std::vector<std::string> libraries;  // DT_NEEDED, as written
  std::vector<std::string> run_path;   // DT_RUNPATH, else DT_RPATH; $ORIGIN replaced
};

// `origin` is the folder of the file's real path, for $ORIGIN. ENOEXEC: not an ELF file
// of this machine's 64-bit ABI, or a damaged one.
Result<ElfNeeds> read_elf(const std::string& path, const std::string& origin);

// The libraries that `path` needs, and those that these need in turn, as far as a run path leads to
// them: others are found in the system's folders, which profiles show. Absolute paths.
std::vector<std::string> libraries_by_run_path(const std::string& path);

}  // namespace vitrine::program
