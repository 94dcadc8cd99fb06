#include "policy/secrets.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "base/path.h"

namespace vitrine::policy {
namespace {

constexpr std::size_t kMostSearched = 20'000;  // entries of a folder, at every depth

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

// The sixth field of passwd(5).
std::string home_in(const std::string& line) {
  std::size_t start = 0;
  for (int field = 0; field < 5; ++field) {
    start = line.find(':', start);
    if (start == std::string::npos) return {};
    ++start;
  }
  return line.substr(start, line.find(':', start) - start);
}

}  // namespace

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&::free)> real(::realpath(path.c_str(), nullptr), &::free);
  return real == nullptr ? std::string() : real.get();
}

std::vector<std::string> home_folders(const std::string& own) {
  std::vector<std::string> homes{"/root"};
  const auto add = [&](const std::string& folder) {
    if (!folder.starts_with('/') || has_dot_dot(folder)) return;
    std::string tidy = tidy_path(folder);
    if (tidy != "/" && std::ranges::find(homes, tidy) == homes.end()) homes.push_back(tidy);
  };
  add(own);
  std::ifstream accounts("/etc/passwd");
  for (std::string line; std::getline(accounts, line);) add(home_in(line));
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/home", ignored)) {
    add(entry.path());
  }
  return homes;
}

std::vector<std::string> secret_places(const std::vector<std::string>& homes) {
  std::vector<std::string> found;
  for (const std::string_view place : secret_locations()) found.emplace_back(place);
  for (const std::string& home : homes) {
    for (const std::string_view name : secret_names()) found.push_back(join_path(home, name));
  }
  std::erase_if(found, [](const std::string& path) { return !exists(path); });
  return found;
}

std::optional<std::string> reason_of_place(const std::string& folder,
                                           const std::vector<std::string>& homes) {
  if (folder == "/" || parent_of(folder) == "/") return "it is a folder of the host's root";
  for (const std::string& home : homes) {
    const std::string there = real_path(home);
    if (is_within(home, folder) || (!there.empty() && is_within(there, folder))) {
      return home == folder || there == folder ? "it is a home folder" : "it holds a home folder";
    }
  }
  return std::nullopt;
}

std::optional<std::string> reason_to_keep(const std::string& folder) {
  namespace fs = std::filesystem;
  if (may_hold_secrets(folder)) return "it may hold secrets";
  std::error_code error;
  std::size_t searched = 0;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied,
                                         error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const std::string path = entry->path();
    if (may_hold_secrets(path)) return "it holds " + path.substr(folder.size() + 1);
    if (++searched > kMostSearched) {
      return "it holds more than " + std::to_string(kMostSearched) + " files";
    }
  }
  if (error) return "it could not be searched: " + error.message();
  return std::nullopt;
}

}  // namespace vitrine::policy
