// Names and places that are known for secrets. A help against mistakes, not a wall.
#pragma once

#include <span>
#include <string_view>

namespace vitrine {

// Whether something on the way to `path` (tidy, absolute), or itself, is known for secrets.
bool may_hold_secrets(std::string_view path);

// Whether a folder of this name would be much to show: one of the host's root, or a home.
bool is_wide(std::string_view path);

// In a tree that vitrine makes itself: the host's own is never offered.
bool is_made_by_vitrine(std::string_view path);

// Names below a home folder (or anywhere), some of several components: ".ssh", ".config/gcloud".
std::span<const std::string_view> secret_names();
// Absolute paths.
std::span<const std::string_view> secret_locations();

}  // namespace vitrine
