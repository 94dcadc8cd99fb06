// Which rule decides what is at a path inside: a lexical reading of the rules, for questions and
// for putting rules in order. The virtual filesystem itself decides with the host's files.
#pragma once

#include <string_view>

#include "core/file_rules.h"

namespace vitrine::policy {

// Where the subject of a rule is inside; of a pattern, the pattern.
std::string_view guest_of(const FileRule& rule);

// The last rule that says what is at `path` (tidy, absolute): it names the path, or a folder above
// it. nullptr: none does, though the path may be a folder on the way to something shown.
const FileRule* covering_rule(const FileRules& rules, std::string_view path);

// Whether `path` is a folder on the way to what some rule shows.
bool is_on_the_way(const FileRules& rules, std::string_view path);

}  // namespace vitrine::policy
