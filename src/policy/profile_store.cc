#include "policy/profile_store.h"

#include <fcntl.h>

#include <algorithm>

#include "base/path.h"
#include "base/unique_fd.h"
#include "policy/builtin_profiles.h"
#include "policy/profile_loader.h"

namespace vitrine::policy {
namespace {

constexpr std::size_t kMaxDepth = 16;

Result<std::string> read_whole(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return fail_errno(path);
  std::string text(16384, '\0');
  std::size_t size = 0;
  while (true) {
    const ssize_t count = ::read(fd.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(path);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
    if (size > kMaxProfileBytes) break;  // refused by parse_profile
    if (size == text.size()) text.resize(2 * size);
  }
  text.resize(size);
  return text;
}

std::string name_of_file(std::string_view path) {
  std::string_view name = name_in(path);
  if (name.ends_with(".json")) name.remove_suffix(5);
  return std::string(name);
}

std::string known_names() {
  std::string names;
  for (const BuiltinProfile& profile : builtin_profiles()) {
    (names += names.empty() ? "" : ", ") += profile.name;
  }
  return names;
}

// Loads depth first. `open` holds the profiles on the way to the current one.
class Chain {
 public:
  Status add(const std::string& name) {
    if (std::find(open_.begin(), open_.end(), name) != open_.end()) return refuse_cycle(name);
    if (open_.size() == kMaxDepth) return fail_invalid(name + ": extends too deeply");
    if (std::find(loaded_.begin(), loaded_.end(), name) != loaded_.end()) return {};
    auto profile = load_profile(name);
    if (!profile) return tl::make_unexpected(profile.error());
    open_.push_back(name);
    for (const std::string& parent : profile->extends) {
      if (auto added = add(relative_to(name, parent)); !added) return added;
    }
    open_.pop_back();
    loaded_.push_back(name);
    profiles_.push_back(std::move(*profile));
    return {};
  }

  std::vector<Profile> take() { return std::move(profiles_); }

 private:
  static std::string relative_to(const std::string& child, const std::string& parent) {
    if (!names_a_file(parent) || parent.starts_with('/')) return parent;
    const auto slash = child.rfind('/');
    return slash == std::string::npos ? parent : child.substr(0, slash + 1) + parent;
  }

  Status refuse_cycle(const std::string& name) const {
    std::string way;
    for (const std::string& step : open_) way += step + " -> ";
    return fail_invalid(way + name + ": profiles extend each other in a circle");
  }

  std::vector<std::string> open_;
  std::vector<std::string> loaded_;  // of profiles_, one each
  std::vector<Profile> profiles_;
};

}  // namespace

bool names_a_file(std::string_view name) {
  return name.find('/') != std::string_view::npos || name.ends_with(".json");
}

Result<std::string> profile_source(const std::string& name) {
  if (names_a_file(name)) return read_whole(name);
  for (const BuiltinProfile& profile : builtin_profiles()) {
    if (profile.name == name) return std::string(profile.text);
  }
  return fail_invalid("there is no profile \"" + name + "\"; there are " + known_names() +
                      " (a file's name has a '/' or ends in .json)");
}

Result<Profile> load_profile(const std::string& name) {
  const auto text = profile_source(name);
  if (!text) return tl::make_unexpected(text.error());
  if (names_a_file(name)) return parse_profile(*text, name_of_file(name), name);
  return parse_profile(*text, name, "builtin:" + name + ".json");
}

Result<std::vector<Profile>> load_profiles(const std::vector<std::string>& names) {
  Chain chain;
  for (const std::string& name : names) {
    if (auto added = chain.add(name); !added) return tl::make_unexpected(added.error());
  }
  return chain.take();
}

}  // namespace vitrine::policy
