// The synthetic /dev: the five devices that hold nothing and harm nobody, new terminals, and
// links to the program's own descriptors.
//
// Note for budgets: a shared mapping of /dev/zero is anonymous shared memory (mm/shmem.c).
#include "vfs/synthetic_trees.h"

namespace vitrine::vfs {

void add_dev(MountTree& tree, const std::string& rule) {
  add_folder(tree, "/dev", rule);
  struct Row {
    const char* name;
    DeviceNumber number;  // Documentation/admin-guide/devices.txt
    bool opens;
  };
  constexpr Row kDevices[] = {
      {"null", {1, 3}, true},   {"zero", {1, 5}, true},    {"full", {1, 7}, true},
      {"random", {1, 8}, true}, {"urandom", {1, 9}, true}, {"tty", {5, 0}, false},
      {"ptmx", {5, 2}, true},
  };
  for (const Row& row : kDevices) {
    const std::string path = std::string("/dev/") + row.name;
    MountNode& node = tree.at(path);
    MountTree::cover(node, MountNode::Kind::kDevice, rule);
    node.device.number = row.number;
    if (row.opens) node.device.host = path;
  }
  add_link(tree, "/dev/fd", rule, "/proc/self/fd");
  add_link(tree, "/dev/stdin", rule, "/proc/self/fd/0");
  add_link(tree, "/dev/stdout", rule, "/proc/self/fd/1");
  add_link(tree, "/dev/stderr", rule, "/proc/self/fd/2");
}

}  // namespace vitrine::vfs
