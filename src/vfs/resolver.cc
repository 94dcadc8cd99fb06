#include "vfs/resolver.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "vfs/pass_on.h"
#include "vfs/path.h"
#include "vfs/scratch.h"

namespace vitrine::vfs {
namespace {

Place scratch_place(const ScratchNodePtr& node, const std::string* rule) {
  Place place;
  place.mount = node->mount;
  place.what = ScratchPlace{node};
  place.rule = rule;
  place.type = node->mode & S_IFMT;
  return place;
}

}  // namespace

Place Place::copy() const {
  Place result;
  result.mount = mount;
  result.path = path;
  result.rule = rule;
  result.type = type;
  if (const auto* at = host())
    result.what = HostPlace{at->mount, at->below, {}};
  else if (scratch())
    result.what = ScratchPlace{scratch()};
  else if (proc() != nullptr)
    result.what = *proc();
  else if (descriptor() != nullptr)
    result.what = *descriptor();
  return result;
}

Resolver::Resolver(const MountTree& tree, const Proc& proc, bool use_openat2)
    : tree_(tree), proc_(proc), host_(use_openat2), last_rule_(&tree.root().rule) {}

void Resolver::set_descriptors(FolderOfDescriptor folder, TypeOfDescriptor type) {
  folder_of_descriptor_ = std::move(folder);
  type_of_descriptor_ = std::move(type);
}

Place Resolver::root() const {
  Place place;
  const MountNode& node = tree_.root();
  place.mount = &node;
  place.path = "/";
  place.rule = &node.rule;
  if (node.kind == MountNode::Kind::kHost) place.what = HostPlace{&node, "", {}};
  if (node.kind == MountNode::Kind::kScratch) place.what = ScratchPlace{node.scratch};
  return place;
}

std::string Resolver::path_of(const ScratchNode& node) {
  const auto below = Scratch::path_of(node);
  if (!below) return "";
  const std::string& mount = node.volume->root->mount->path;
  if (below->empty()) return mount;
  return (mount == "/" ? "" : mount) + *below;
}

std::string Resolver::path_of(const Place& place) {
  return place.scratch() ? path_of(*place.scratch()) : place.path;
}

const std::string& Resolver::last_path() const {
  last_path_ = last_node_ ? path_of(*last_node_) : last_folder_;
  if (!last_name_.empty()) last_path_ = join(last_path_, last_name_);
  return last_path_;
}

std::string Resolver::last_whole_path() const {
  if (last_rest_.empty()) return last_path();
  std::string whole = last_path() + last_rest_;
  return has_dot_dot(last_rest_) ? whole : tidy_path(whole);
}

void Resolver::note(const Place& place) {
  last_rest_.clear();
  last_rule_ = place.rule;
  last_node_ = place.scratch();
  last_folder_ = place.path;
  last_name_.clear();
}

void Resolver::note_missing(const Place& folder, std::string_view name) {
  note(folder);
  last_name_ = name;
  const MountNode* mount = folder.mount != nullptr ? folder.mount->find(name) : nullptr;
  if (mount != nullptr && mount->kind != MountNode::Kind::kPassage) last_rule_ = &mount->rule;
  // A folder that is shown empty says nothing about what the host has in it.
  const bool empty_folder = folder.mount != nullptr && folder.host() == nullptr &&
                            folder.scratch() == nullptr &&
                            folder.mount->kind == MountNode::Kind::kFolder;
  if (mount == nullptr && empty_folder) last_rule_ = &tree_.root().rule;
}

Status Resolver::look(Place& place) {
  HostPlace& host = *place.host();
  auto seen = host_.look(host.mount->host.root, host.below);
  if (!seen) return pass_on(seen.error());
  place.type = type_of(seen->attributes());
  host.seen = std::move(*seen);
  return {};
}

Status Resolver::verify(Place& place) {
  HostPlace* host = place.host();
  if (host == nullptr || host->seen) return {};
  Status looked = look(place);
  const bool passage = place.mount != nullptr && place.mount != host->mount;
  if (!passage) return looked;
  // On the way to a mount point there is a folder, whatever the host has there.
  if (looked && place.is_folder()) return {};
  if (!place.mount->is_shown()) return looked ? fail(ENOENT, "hidden") : looked;
  place.what = FixedPlace{};
  place.type = S_IFDIR;
  return {};
}

Result<Place> Resolver::enter_passage(const Place& folder, const MountNode& mount,
                                      std::string_view name) {
  Place place;
  place.mount = &mount;
  place.path = mount.path;
  place.rule = folder.rule;
  if (const auto* host = folder.host()) {
    place.what = HostPlace{host->mount, join(host->below, name), {}};
    if (auto status = verify(place); !status) return pass_on(status.error());
    return place;
  }
  if (folder.scratch()) return scratch_child(folder, name);
  if (!mount.is_shown()) return fail(ENOENT, "lookup");
  return place;
}

Result<Place> Resolver::enter_mount(const Place& folder, const MountNode& mount,
                                    std::string_view name) {
  using Kind = MountNode::Kind;
  if (mount.kind == Kind::kPassage) return enter_passage(folder, mount, name);
  Place place;
  place.mount = &mount;
  place.path = mount.path;
  place.rule = &mount.rule;
  switch (mount.kind) {
    case Kind::kHidden:
      // A later rule may show something below: then this is on the way to it, and nothing more.
      if (!mount.is_shown()) return fail(ENOENT, "hidden");
      break;
    case Kind::kHost:
      place.what = HostPlace{&mount, "", {}};
      place.type = type_of(mount.host.attributes);
      break;
    case Kind::kScratch:
      place.what = ScratchPlace{mount.scratch};
      break;
    case Kind::kProc:
      place.what = ProcNode{};
      break;
    case Kind::kFile:
      place.type = S_IFREG;
      break;
    case Kind::kLink:
      place.type = S_IFLNK;
      break;
    case Kind::kDevice:
      place.type = S_IFCHR;
      break;
    case Kind::kFolder:
    case Kind::kPassage:
      break;
  }
  return place;
}

Result<Place> Resolver::host_child(const Place& folder, std::string_view names) {
  const HostPlace& at = *folder.host();
  Place place;
  place.what = HostPlace{at.mount, join(at.below, names), {}};
  place.path = join(folder.path, names);
  place.rule = folder.rule;
  if (auto status = look(place); !status) return pass_on(status.error());
  return place;
}

Result<Place> Resolver::scratch_child(const Place& folder, std::string_view name) const {
  const ScratchNode& at = *folder.scratch();
  if (at.removed) return fail(ENOENT, "lookup");
  if (!at.permits(X_OK)) return fail(EACCES, "lookup");
  const ScratchNodePtr node = Scratch::find(at, name);
  if (!node) return fail(ENOENT, "lookup");
  return scratch_place(node, folder.rule);
}

Result<Place> Resolver::child_for_owner(const Place& folder, std::string_view name) {
  if (folder.mount != nullptr)
    if (const MountNode* mount = folder.mount->find(name)) return enter_mount(folder, *mount, name);
  const ScratchNodePtr node = Scratch::find(*folder.scratch(), name);
  if (!node) return fail(ENOENT, "lookup");
  return scratch_place(node, folder.rule);
}

Result<Place> Resolver::child(const Caller& caller, const Place& folder, std::string_view name) {
  if (name.size() > kMaxName) return fail(ENAMETOOLONG, "lookup");
  if (folder.mount != nullptr)
    if (const MountNode* mount = folder.mount->find(name)) return enter_mount(folder, *mount, name);
  if (folder.host() != nullptr) return host_child(folder, name);
  if (folder.scratch()) return scratch_child(folder, name);
  if (const ProcNode* proc = folder.proc()) {
    auto node = proc_.child(caller, *proc, name);
    if (!node) return pass_on(node.error());
    Place place;
    place.what = *node;
    place.path = join(folder.path, name);
    place.rule = folder.rule;
    place.type = proc_.type_of(*node);
    return place;
  }
  return fail(ENOENT, "lookup");
}

Place Resolver::place_at(const Caller& caller, std::string_view canonical) {
  Place here = root();
  for (PathReader reader(canonical); const auto name = reader.next();) {
    const bool host_below =
        here.host() != nullptr && (here.mount == nullptr || here.mount->find(*name) == nullptr);
    if (host_below) {  // only noted down, looked at by verify()
      here.host()->below = join(here.host()->below, *name);
      here.path = join(here.path, *name);
      here.mount = nullptr;
      continue;
    }
    auto next = child(caller, here, *name);
    if (!next) break;  // gone: what is left of it
    here = std::move(*next);
  }
  return here;
}

Result<Place> Resolver::parent(const Caller& caller, const Place& place) {
  if (const ScratchNodePtr& node = place.scratch()) {
    const ScratchNode* up = node->parent();
    if (up != nullptr) {
      // Found again through its own parent (or the volume), to share its ownership.
      const ScratchNode* above = up->parent();
      ScratchNodePtr owner =
          above == nullptr ? node->volume->root : Scratch::find(*above, up->names.back().name);
      return scratch_place(owner, place.rule);
    }
    if (node != node->volume->root) return fail(ENOENT, "removed folder");
    return place_at(caller, parent_of(node->mount->path));
  }
  return place_at(caller, parent_of(place.path));
}

Result<std::string> Resolver::target_of(const Caller& caller, const Place& link) const {
  if (const auto* host = link.host()) return host->seen->target_of_link();
  if (link.scratch()) return link.scratch()->target;
  if (link.proc() != nullptr) return proc_.read_link(caller, *link.proc());
  return link.mount->target;
}

Result<Place> Resolver::follow_descriptor(const ProcNode& link) const {
  const auto type = type_of_descriptor_(link.tid, link.number);
  if (!type) return pass_on(type.error());
  Place place;
  if (*type == S_IFDIR) {
    auto folder = folder_of_descriptor_(link.tid, link.number);
    if (!folder) return pass_on(folder.error());
    return (*folder)->place().copy();
  }
  place.what = DescriptorPlace{link.tid, link.number};
  place.type = *type;
  place.rule = &tree_.root().rule;
  place.path = "/proc/" + std::to_string(link.tid) + "/fd/" + std::to_string(link.number);
  return place;
}

// One walk from a base to the end of a path.
class Walk {
 public:
  Walk(Resolver& resolver, const Caller& caller, const Place& base, std::string_view path,
       FinalLink final)
      : resolver_(resolver),
        caller_(caller),
        here_(path.starts_with('/') ? resolver.root() : base.copy()),
        pending_(path),
        follow_(final == FinalLink::kFollow) {}

  Result<Place> run();

 private:
  Status take(std::string_view name);
  Status walk_host(std::string_view first);
  Status arrive(Place child);
  Status follow_link(const Place& link);
  bool continues_in_mounts(std::string_view name) const {
    return here_.mount != nullptr && here_.mount->find(name) != nullptr;
  }
  // "" at the end.
  std::string_view peek() const {
    const auto begin = pending_.find_first_not_of('/', at_);
    if (begin == std::string::npos) return {};
    return std::string_view(pending_).substr(begin, pending_.find('/', begin) - begin);
  }
  std::size_t end_of(std::string_view name) const {
    return static_cast<std::size_t>(name.data() - pending_.data()) + name.size();
  }
  std::string_view behind(std::string_view name) const {
    return std::string_view(pending_).substr(end_of(name));
  }
  void consume(std::string_view name) { at_ = end_of(name); }

  Resolver& resolver_;
  const Caller& caller_;
  Place here_;
  std::string pending_;
  std::size_t at_ = 0;
  bool follow_;
  bool step_by_step_ = false;  // a link is somewhere in the next components
  int links_ = 0;
};

Result<Place> Walk::run() {
  while (true) {
    const std::string_view name = peek();
    if (name.empty()) break;
    if (!here_.is_folder()) return fail(ENOTDIR, "lookup");
    // A step that fails has not spliced a link in, so `name` is still there.
    if (auto status = take(name); !status) {
      resolver_.note_missing(here_, name);
      resolver_.saw_nothing(behind(name));
      return pass_on(status.error());
    }
  }
  const bool wants_folder = pending_.ends_with('/');
  if (auto status = resolver_.verify(here_); !status) {
    resolver_.note(here_);
    resolver_.saw_nothing({});
    return pass_on(status.error());
  }
  resolver_.note(here_);
  resolver_.saw(Sighting::Kind::kFound, here_);
  if (wants_folder && !here_.is_folder()) return fail(ENOTDIR, "lookup");
  return std::move(here_);
}

Status Walk::take(std::string_view name) {
  if (here_.scratch() && !here_.scratch()->permits(X_OK)) return fail(EACCES, "lookup");
  if (name.size() > kMaxName) return fail(ENAMETOOLONG, "lookup");
  if (name == ".") {
    consume(name);
    if (auto status = resolver_.verify(here_); !status) return status;
    return here_.is_folder() ? Status{} : fail(ENOTDIR, "lookup");
  }
  if (name == "..") {
    consume(name);
    if (auto status = resolver_.verify(here_); !status) return status;
    if (!here_.is_folder()) return fail(ENOTDIR, "lookup");
    auto up = resolver_.parent(caller_, here_);
    if (!up) return pass_on(up.error());
    here_ = std::move(*up);
    return {};
  }
  if (here_.host() != nullptr && !continues_in_mounts(name)) return walk_host(name);
  auto child = resolver_.child(caller_, here_, name);
  if (!child) return pass_on(child.error());
  consume(name);
  return arrive(std::move(*child));
}

// Takes as many components as it can with one call to the kernel.
Status Walk::walk_host(std::string_view first) {
  const std::size_t start = at_;
  std::string run;
  run.reserve(pending_.size());
  run.append(first);
  std::string_view last = first;
  consume(first);
  while (!step_by_step_) {
    const std::string_view name = peek();
    if (name.empty() || name == "." || name == "..") break;
    // What links have led to may be longer than a path that the kernel takes.
    if (here_.host()->below.size() + run.size() + name.size() + 2 > kMaxPath) break;
    run.append("/").append(name);
    last = name;
    consume(name);
  }
  auto child = resolver_.host_child(here_, run);
  if (!child && child.error().code == ELOOP && run.size() > first.size()) {
    at_ = start;
    step_by_step_ = true;
    return {};
  }
  if (!child) return pass_on(child.error());
  if (child->is_link() && run.size() > first.size()) {
    // Its target is relative to the folder that holds it.
    const std::string_view folder(run.data(), run.size() - last.size() - 1);
    here_.host()->below = join(here_.host()->below, folder);
    here_.host()->seen.reset();
    here_.path = join(here_.path, folder);
    here_.mount = nullptr;
  }
  return arrive(std::move(*child));
}

Status Walk::arrive(Place child) {
  const bool last = peek().empty();
  const bool slash = last && at_ < pending_.size();
  if (child.is_link() && child.host() != nullptr)
    if (auto status = resolver_.verify(child); !status) return status;
  if (child.is_link() && (!last || follow_ || slash)) return follow_link(child);
  here_ = std::move(child);
  return {};
}

Status Walk::follow_link(const Place& link) {
  if (++links_ > kMaxLinks) return fail(ELOOP, "lookup");
  resolver_.saw(Sighting::Kind::kLink, link);
  step_by_step_ = false;
  if (const ProcNode* proc = link.proc(); proc != nullptr && proc->kind == ProcNode::Kind::kFd) {
    auto place = resolver_.follow_descriptor(*proc);
    if (!place) return pass_on(place.error());
    here_ = std::move(*place);
    return {};
  }
  const auto target = resolver_.target_of(caller_, link);
  if (!target) return pass_on(target.error());
  if (target->empty()) return fail(ENOENT, "empty link");
  const std::string_view rest = std::string_view(pending_).substr(at_);
  if (target->size() + rest.size() > 2 * kMaxPath) return fail(ENAMETOOLONG, "lookup");
  std::string pending = *target;
  pending.append(rest);  // begins with a slash, or is empty
  pending_ = std::move(pending);
  at_ = 0;
  if (pending_.starts_with('/')) here_ = resolver_.root();
  return {};
}

Result<Place> Resolver::resolve(const Caller& caller, const Place& base, std::string_view path,
                                FinalLink final) {
  last_rule_ = base.rule;
  if (path.empty()) return fail(ENOENT, "lookup");
  if (path.size() > kMaxPath) return fail(ENAMETOOLONG, "lookup");
  return Walk(*this, caller, base, path, final).run();
}

Result<ParentAndName> Resolver::resolve_parent(const Caller& caller, const Place& base,
                                               std::string_view path) {
  using Last = ParentAndName::Last;
  last_rule_ = base.rule;
  if (path.empty()) return fail(ENOENT, "lookup");
  if (path.size() > kMaxPath) return fail(ENAMETOOLONG, "lookup");
  const auto end = path.find_last_not_of('/');
  ParentAndName result;
  result.trailing_slash = end != path.size() - 1;
  if (end == std::string_view::npos) {
    result.last = Last::kRoot;
    result.folder = root();
    return result;
  }
  const std::string_view trimmed = path.substr(0, end + 1);
  const auto slash = trimmed.rfind('/');
  result.name = slash == std::string_view::npos ? trimmed : trimmed.substr(slash + 1);
  if (result.name == ".") result.last = Last::kDot;
  if (result.name == "..") result.last = Last::kDotDot;
  const std::string_view folder =
      slash == std::string_view::npos ? "." : trimmed.substr(0, slash + 1);
  auto place = resolve(caller, base, folder, FinalLink::kFollow);
  if (!place) return pass_on(place.error());
  // The kernel asks for search permission before it looks at the last component.
  if (place->scratch() && !place->scratch()->permits(X_OK)) return fail(EACCES, "lookup");
  if (result.name.size() > kMaxName) return fail(ENAMETOOLONG, "lookup");
  result.folder = std::move(*place);
  last_name_ = result.name;
  return result;
}

}  // namespace vitrine::vfs
