#include "vfs/synthetic_trees.h"

#include <utility>

namespace vitrine::vfs {

void add_folder(MountTree& tree, std::string_view path, const std::string& rule) {
  MountTree::cover(tree.at(path), MountNode::Kind::kFolder, rule);
}

void add_generated(MountTree& tree, std::string_view path, const std::string& rule,
                   Generator generate) {
  MountNode& node = tree.at(path);
  MountTree::cover(node, MountNode::Kind::kFile, rule);
  node.file.generate = std::move(generate);
  node.file.reports_size = false;
}

void add_text(MountTree& tree, std::string_view path, const std::string& rule, std::string text) {
  MountNode& node = tree.at(path);
  MountTree::cover(node, MountNode::Kind::kFile, rule);
  node.file.generate = [text = std::move(text)](const SystemView&) { return text; };
}

void add_link(MountTree& tree, std::string_view path, const std::string& rule, std::string target) {
  MountNode& node = tree.at(path);
  MountTree::cover(node, MountNode::Kind::kLink, rule);
  node.target = std::move(target);
}

bool add_synthetic_tree(MountTree& tree, const std::string& name, const std::string& rule,
                        const Identity& identity) {
  if (name == "dev") {
    add_dev(tree, rule);
  } else if (name == "sys") {
    add_sys(tree, rule);
  } else if (name == "etc") {
    add_etc(tree, rule, identity);
  } else if (name == "proc") {
    add_proc(tree, rule);
  } else {
    return false;
  }
  return true;
}

void add_sys(MountTree& tree, const std::string& rule) {
  add_folder(tree, "/sys", rule);
  const Generator cpus = [](const SystemView& view) {
    const unsigned count = view.processes != nullptr ? view.processes->cpu_count() : 1;
    return count > 1 ? "0-" + std::to_string(count - 1) + "\n" : std::string("0\n");
  };
  for (const char* name : {"online", "possible", "present"})
    add_generated(tree, std::string("/sys/devices/system/cpu/") + name, rule, cpus);
  add_text(tree, "/sys/kernel/mm/transparent_hugepage/enabled", rule, "always [madvise] never\n");
  add_text(tree, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", rule, "2097152\n");
}

void add_etc(MountTree& tree, const std::string& rule, const Identity& identity) {
  const std::string uid = std::to_string(identity.uid);
  const std::string gid = std::to_string(identity.gid);
  add_text(tree, "/etc/passwd", rule, "user:x:" + uid + ":" + gid + ":user:/tmp:/bin/sh\n");
  add_text(tree, "/etc/group", rule, "user:x:" + gid + ":\n");
  add_text(tree, "/etc/hosts", rule, "127.0.0.1\tlocalhost\n::1\tlocalhost\n");
  add_text(tree, "/etc/nsswitch.conf", rule,
           "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\n"
           "protocols: files\n");
  // TZif version 1 of UTC (tzfile(5)): a header, no transitions, one type, "UTC".
  std::string utc("TZif", 4);
  utc.append(16, '\0');  // version and reserved
  const auto append_count = [&](char count) { utc.append(3, '\0').push_back(count); };
  for (const char count : {'\0', '\0', '\0', '\0', '\1', '\4'}) append_count(count);
  utc.append(6, '\0').append("UTC", 4);
  add_text(tree, "/etc/localtime", rule, utc);
}

}  // namespace vitrine::vfs
