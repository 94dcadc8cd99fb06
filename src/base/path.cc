#include "base/path.h"

namespace vitrine {

std::string tidy_path(std::string_view path) {
  std::string tidy;
  tidy.reserve(path.size() + 1);
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string_view component = path.substr(0, slash);
    if (!component.empty() && component != ".") (tidy += '/') += component;
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  if (tidy.empty()) tidy = "/";
  return tidy;
}

std::string join_path(std::string_view folder, std::string_view path) {
  if (path.starts_with('/')) return tidy_path(path);
  return tidy_path(std::string(folder) + "/" + std::string(path));
}

bool is_within(std::string_view path, std::string_view folder) {
  if (folder == "/") return path.starts_with('/');
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

bool has_dot_dot(std::string_view path) {
  return path == ".." || path.starts_with("../") || path.ends_with("/..") ||
         path.find("/../") != std::string_view::npos;
}

std::string_view parent_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == 0 || slash == std::string_view::npos ? "/" : path.substr(0, slash);
}

std::string_view name_in(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace vitrine
