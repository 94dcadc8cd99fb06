// Path text: components, joining, bounds.
#pragma once

#include <algorithm>
#include <climits>
#include <optional>
#include <string>
#include <string_view>

namespace vitrine::vfs {

inline constexpr std::size_t kMaxName = NAME_MAX;
inline constexpr std::size_t kMaxPath = PATH_MAX - 1;  // without the NUL

// Reads a path component by component, skipping slashes.
class PathReader {
 public:
  explicit PathReader(std::string_view path) : rest_(path) {}
  std::optional<std::string_view> next() {
    skip_slashes();
    if (rest_.empty()) return std::nullopt;
    const std::string_view name = rest_.substr(0, rest_.find('/'));
    rest_.remove_prefix(name.size());
    return name;
  }
  std::string_view rest() const { return rest_; }

 private:
  void skip_slashes() { rest_.remove_prefix(std::min(rest_.find_first_not_of('/'), rest_.size())); }
  std::string_view rest_;
};

inline std::string join(std::string_view folder, std::string_view name) {
  std::string path;
  path.reserve(folder.size() + 1 + name.size());
  path.append(folder);
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

// "/a/b" is below "/a" and "/"; not below "/a/b/c" or "/a/".
inline bool is_same_or_below(std::string_view path, std::string_view folder) {
  if (folder == "/") return path.starts_with('/');
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

inline std::string_view parent_of(std::string_view canonical) {
  const auto slash = canonical.rfind('/');
  return slash == 0 || slash == std::string_view::npos ? "/" : canonical.substr(0, slash);
}

}  // namespace vitrine::vfs
