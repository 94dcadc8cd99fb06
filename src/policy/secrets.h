// Where hosts keep secrets: what `learn` hides from the observed program, and never grants by
// itself. A list of names, and so a help against mistakes, not a wall.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/secrets.h"

namespace vitrine::policy {

// realpath(3); "" where there is none.
std::string real_path(const std::string& path);

// The home folders of this host's accounts, and `own` (the caller's, "" for none); tidy, absolute.
std::vector<std::string> home_folders(const std::string& own);

// The known places that exist on this host.
std::vector<std::string> secret_places(const std::vector<std::string>& homes);

// Why `folder` (a real path) is too much to show, for what holds it or what it holds; a sentence's
// end ("it is a home folder").
std::optional<std::string> reason_of_place(const std::string& folder,
                                           const std::vector<std::string>& homes);

// What of `folder` is known for secrets, searched at every depth; a sentence's end ("it holds
// .env"). nullopt: nothing is. Also an answer where there is too much to search.
std::optional<std::string> reason_to_keep(const std::string& folder);

}  // namespace vitrine::policy
