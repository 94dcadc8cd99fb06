// The synthetic trees: what "proc", "sys", "dev" and "etc" of a SyntheticRule show.
#pragma once

#include <string>

#include "base/clock.h"
#include "vfs/filesystem.h"
#include "vfs/mount_tree.h"

namespace vitrine::vfs {

struct SystemView {
  const ProcessView* processes = nullptr;
  Options options;
  Nanoseconds started{};  // monotonic
  std::time_t booted{};   // the same moment by the calendar
};

// Adds one tree; false if there is none of that name.
bool add_synthetic_tree(MountTree& tree, const std::string& name, const std::string& rule,
                        const Identity& identity);

void add_dev(MountTree& tree, const std::string& rule);
void add_sys(MountTree& tree, const std::string& rule);
void add_etc(MountTree& tree, const std::string& rule, const Identity& identity);
void add_proc(MountTree& tree, const std::string& rule);

// Building blocks of the above: each covers `path`.
void add_folder(MountTree& tree, std::string_view path, const std::string& rule);
void add_text(MountTree& tree, std::string_view path, const std::string& rule, std::string text);
void add_link(MountTree& tree, std::string_view path, const std::string& rule, std::string target);
using Generator = std::function<std::string(const SystemView&)>;
void add_generated(MountTree& tree, std::string_view path, const std::string& rule,
                   Generator generate);

}  // namespace vitrine::vfs
