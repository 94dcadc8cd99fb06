// What a lookup came by in the guest's tree. Values only.
#pragma once

#include <string>

namespace vitrine {

struct Sighting {
  enum class Kind {
    kLink,     // a symbolic link that was followed
    kFound,    // where the lookup ended
    kMissing,  // where it failed
  };
  Kind kind = Kind::kFound;
  std::string path;  // canonical guest path (raw bytes); "" for what has none
  std::string rule;  // Origin::rule of what shows it
};

}  // namespace vitrine
