// Lexical operations on path names: nothing here looks at a file system.
#pragma once

#include <string>
#include <string_view>

namespace vitrine {

// Absolute paths only: without empty and `.` components and without a slash at the end ("/" alone
// stays). `..` is kept: what it means depends on links.
std::string tidy_path(std::string_view path);
// `path` itself if it is absolute, else `folder` "/" `path`; tidied.
std::string join_path(std::string_view folder, std::string_view path);
// `path` is `folder` or below it. Both tidied.
bool is_within(std::string_view path, std::string_view folder);
bool has_dot_dot(std::string_view path);
// "/a/b" of "/a/b/c"; "/" of "/a" and of "/".
std::string_view parent_of(std::string_view path);
// "c" of "/a/b/c"; "" of "/".
std::string_view name_in(std::string_view path);

}  // namespace vitrine
