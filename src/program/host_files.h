// The few questions that the search asks of the host's files.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vitrine::program {

// Follows links, as the kernel does.
bool is_folder(const std::string& path);
bool is_regular_file(const std::string& path);
bool is_executable_file(const std::string& path);  // for this process's real ids, as access(2)

// realpath(3); nullopt where it fails.
std::optional<std::string> real_path(const std::string& path);

// The first `most` bytes of a regular file. Never blocks: FIFOs and devices are errors.
Result<std::string> read_start(const std::string& path, std::size_t most);

// Names in a folder, sorted; empty if it cannot be read. Bounded.
std::vector<std::string> names_in_folder(const std::string& path);

// PATH as a list; an empty entry is the working directory (execvp(3)).
std::vector<std::string> split_path(std::string_view path);

}  // namespace vitrine::program
