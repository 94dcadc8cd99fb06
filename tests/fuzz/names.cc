// The resolver of names against a simple model of it (model_tree.h): a host folder, rules that show
// and cover it, and lookups and changes that follow, all of them from the input. Wherever the two
// disagree on the errno, the canonical path, the type or the content, it is a crash.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "model_tree.h"
#include "vfs/filesystem.h"

namespace {

using namespace vitrine;
using fuzz::Found;
using fuzz::ModelMount;
using fuzz::ModelNode;
using fuzz::ModelTree;
using fuzz::Spot;

[[noreturn]] void disagree(const std::string& what, const std::string& real,
                           const std::string& model) {
  std::fprintf(stderr, "%s: %s, and the model says %s\n", what.c_str(), real.c_str(),
               model.c_str());
  std::abort();
}

std::string name_from(fuzz::Input& input) {
  return std::string(1, static_cast<char>('a' + input.byte() % 4));
}

// Of names, "..", ".", doubled slashes, and now and then a name that is too long.
std::string path_from(fuzz::Input& input) {
  const std::uint8_t shape = input.byte();
  std::string path = (shape & 1) != 0 ? "/" : "";
  for (int left = (shape >> 1) & 7; left >= 0; --left) {
    const std::uint8_t kind = input.byte();
    if (kind < 0xa0) {
      path += static_cast<char>('a' + kind % 4);
    } else if (kind < 0xe0) {
      path += "..";
    } else if (kind < 0xfe) {
      path += kind < 0xf0 ? "." : "";
    } else {
      path += std::string(256, 'n');
    }
    if (left > 0) path += '/';
  }
  if ((shape & 0x80) != 0) path += '/';
  return path;
}

std::string guest_from(fuzz::Input& input) {
  std::string path;
  for (int left = input.byte() % 4; left > 0; --left) path += "/" + name_from(input);
  return path.empty() ? "/" : path;
}

// A folder of the host, and the same in the model. Every file holds its own path.
class Host {
 public:
  explicit Host(fuzz::Input& input) {
    // In memory where that is to be had: a tree is made for every input.
    std::string name = "/dev/shm/vitrine-names-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
      name = "/tmp/vitrine-names-XXXXXX";
      if (::mkdtemp(name.data()) == nullptr) std::abort();
    }
    path_ = std::filesystem::canonical(name);
    shown_.push_back({&root_, path_});
    folders_.push_back(shown_.front());
    for (int left = input.byte() % 16; left > 0; --left) add(input);
  }
  ~Host() { std::filesystem::remove_all(path_); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  struct Place {
    ModelNode* node;
    std::string path;
  };
  const Place& any(fuzz::Input& input) const { return shown_[input.byte() % shown_.size()]; }

 private:
  void add(fuzz::Input& input) {
    const Place folder = folders_[input.byte() % folders_.size()];
    const std::string name = name_from(input);
    const std::uint8_t kind = input.byte() % 4;
    if (folder.node->find(name) != nullptr) return;
    const std::string path = folder.path + "/" + name;
    if (kind == 0) {
      const std::string text = path.substr(path_.size());
      const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644));
      if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        std::abort();
      shown_.push_back({&folder.node->add(name, ModelNode::Kind::kFile, text), path});
    } else if (kind == 1) {
      const std::string target = path_from(input);
      if (target.empty() || ::symlink(target.c_str(), path.c_str()) != 0) return;
      folder.node->add(name, ModelNode::Kind::kLink, target);
    } else {
      if (::mkdir(path.c_str(), 0755) != 0) std::abort();
      shown_.push_back({&folder.node->add(name, ModelNode::Kind::kFolder), path});
      folders_.push_back(shown_.back());
    }
  }

  std::string path_;
  ModelNode root_;
  std::vector<Place> shown_;  // what a rule can show
  std::vector<Place> folders_;
};

// One rule, and the same in the model. False: the model refuses it.
bool add_rule(fuzz::Input& input, const Host& host, FileRules& rules, ModelTree& model) {
  using Kind = ModelMount::Kind;
  const std::uint8_t kind = input.byte() % 8;
  const std::string guest = guest_from(input);
  const Origin origin{"rule" + std::to_string(rules.size()), ""};
  switch (kind) {
    case 0:
    case 1:
    case 2: {
      const Host::Place& place = host.any(input);
      rules.push_back({ShowRule{place.path, guest}, origin});
      return model.mount(guest, {Kind::kHost, place.node, ""});
    }
    case 3:
      rules.push_back({ScratchRule{guest, 1 << 20}, origin});
      return model.mount(guest, {Kind::kScratch, nullptr, ""});
    case 4:
      rules.push_back({InlineRule{guest, origin.rule, false}, origin});
      return model.mount(guest, {Kind::kFile, nullptr, origin.rule});
    case 5: {
      const std::string target = path_from(input);
      rules.push_back({LinkRule{guest, target}, origin});
      return model.mount(guest, {Kind::kLink, nullptr, target});
    }
    case 6:
      rules.push_back({FolderRule{guest}, origin});
      return model.make_folder(guest);
    default:
      rules.push_back({HideRule{guest}, origin});
      return model.mount(guest, {Kind::kHidden, nullptr, ""});
  }
}

mode_t type_of(ModelNode::Kind kind) {
  if (kind == ModelNode::Kind::kFolder) return S_IFDIR;
  return kind == ModelNode::Kind::kFile ? S_IFREG : S_IFLNK;
}

// Looks up and changes names, here and in the model.
class Guest {
 public:
  Guest(vfs::FileSystem& files, ModelTree& model)
      : files_(files), model_(model), folder_(files.root()), spot_(model.root()) {}

  void step(fuzz::Input& input) {
    const std::uint8_t kind = input.byte() % 8;
    const std::string path = path_from(input);
    if (kind <= 2) return look(path, vfs::FinalLink::kFollow);
    if (kind == 3) return look(path, vfs::FinalLink::kNoFollow);
    if (kind == 4) return enter(path);
    if (kind == 5) return make(path, ModelNode::Kind::kFolder, "");
    if (kind == 6) return make(path, ModelNode::Kind::kLink, path_from(input));
    return move(path, path_from(input));
  }

 private:
  void compare(const std::string& what, int code, const Found<Spot>& wanted) const {
    const Spot* spot = std::get_if<Spot>(&wanted);
    const int wanted_code = spot == nullptr ? std::get<int>(wanted) : 0;
    if (code != wanted_code) disagree(what, std::to_string(code), std::to_string(wanted_code));
    if (spot != nullptr && files_.resolved_path() != spot->path)
      disagree(what, files_.resolved_path(), spot->path);
  }

  void look(const std::string& path, vfs::FinalLink final) {
    const bool follow = final == vfs::FinalLink::kFollow;
    const Found<Spot> wanted = model_.resolve(spot_, path, follow);
    struct statx seen {};
    const Status status = files_.stat(caller_, folder_, path, final, seen);
    compare("stat " + path, status ? 0 : status.error().code, wanted);
    if (!status) return;
    const Spot& spot = std::get<Spot>(wanted);
    if ((seen.stx_mode & S_IFMT) != type_of(spot.kind))
      disagree("type " + path, std::to_string(seen.stx_mode), std::to_string(type_of(spot.kind)));
    if (spot.kind == ModelNode::Kind::kFile) compare_content(path, spot);
    if (spot.kind == ModelNode::Kind::kLink) {
      const Result<std::string> target = files_.read_link(caller_, folder_, path);
      if (!target || *target != spot.text)
        disagree("link " + path, target ? *target : "an error", spot.text);
    }
  }

  void compare_content(const std::string& path, const Spot& spot) {
    const Result<vfs::Opened> opened = files_.open(caller_, folder_, path, O_RDONLY, 0);
    if (!opened) disagree("open " + path, opened.error().message(), "0");
    char buffer[256];
    const ssize_t got = ::pread(opened->fd.get(), buffer, sizeof buffer, 0);
    const std::string text(buffer, got < 0 ? 0 : static_cast<std::size_t>(got));
    if (text != spot.text) disagree("content of " + path, text, spot.text);
  }

  void enter(const std::string& path) {
    Found<Spot> wanted = model_.resolve(spot_, path, true);
    if (const Spot* spot = std::get_if<Spot>(&wanted);
        spot != nullptr && spot->kind != ModelNode::Kind::kFolder) {
      wanted = ENOTDIR;
    }
    const Result<vfs::DirectoryRef> folder = files_.open_directory(caller_, folder_, path);
    const int code = folder ? 0 : folder.error().code;
    compare("enter " + path, code, wanted);
    if (!folder) return;
    folder_ = *folder;
    spot_ = std::get<Spot>(wanted);
    if (files_.path_of(folder_) != spot_.path)
      disagree("path of " + path, files_.path_of(folder_), spot_.path);
  }

  // The scratch folder and the name below it that `path` can be made at.
  std::optional<std::pair<Spot, std::string>> free_name(const std::string& path) const {
    if (path.empty() || path.ends_with('/')) return std::nullopt;
    const auto slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    if (name == "." || name == ".." || name.size() > ModelTree::kLongestName) return std::nullopt;
    const Found<Spot> found = model_.resolve(spot_, folder, true);
    const Spot* spot = std::get_if<Spot>(&found);
    if (spot == nullptr || !spot->scratch || spot->kind != ModelNode::Kind::kFolder)
      return std::nullopt;
    return std::pair(*spot, name);
  }

  bool is_free(const std::pair<Spot, std::string>& at) const {
    const Found<Spot> found = model_.resolve(at.first, at.second, false);
    return std::holds_alternative<int>(found) && at.first.node->find(at.second) == nullptr;
  }

  void make(const std::string& path, ModelNode::Kind kind, const std::string& text) {
    if (kind == ModelNode::Kind::kLink && text.empty()) return;
    const Status made = kind == ModelNode::Kind::kFolder
                            ? files_.make_directory(caller_, folder_, path, 0755)
                            : files_.symlink(caller_, text, folder_, path);
    if (path.ends_with('/')) {  // a folder may be made so
      if (made) make_in_model(path.substr(0, path.find_last_not_of('/') + 1), kind, text);
      return;
    }
    if (made) return make_in_model(path, kind, text);
    const auto at = free_name(path);
    const bool mounted = at && model_.covers(at->first, at->second);
    if (at && is_free(*at) && !mounted) disagree("make " + path, made.error().message(), "0");
  }

  void make_in_model(const std::string& path, ModelNode::Kind kind, const std::string& text) {
    const auto at = free_name(path);
    if (!at || !is_free(*at)) disagree("make " + path, "0", "that it cannot be");
    at->first.node->add(at->second, kind, text);
  }

  void move(const std::string& from, const std::string& to) {
    const auto source = free_name(from);
    const auto target = free_name(to);
    if (!source || !target || !is_free(*target)) return;
    ModelNode* node = source->first.node->find(source->second);
    if (node == nullptr) return;
    if (!files_.rename(caller_, folder_, from, folder_, to, RENAME_NOREPLACE)) return;
    if (model_.covers(source->first, source->second)) disagree("move " + from, "0", "a mount");
    std::unique_ptr<ModelNode> taken = std::move(source->first.node->children[source->second]);
    source->first.node->children.erase(source->second);
    taken->parent = target->first.node;
    taken->name = target->second;
    target->first.node->children[target->second] = std::move(taken);
    spot_ = model_.again(spot_);
  }

  vfs::FileSystem& files_;
  ModelTree& model_;
  const vfs::Caller caller_{::getpid(), ::getpid(), 022};
  vfs::DirectoryRef folder_;
  Spot spot_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr int kMostSteps = 24;
  fuzz::Input input(data, size);
  vfs::Options options{.identity = {1000, 1000}};
  options.use_openat2 = (input.byte() & 1) == 0;
  const Host host(input);
  FileRules rules;
  ModelTree model;
  bool possible = true;
  for (int left = input.byte() % 8; left > 0 && possible; --left)
    possible = add_rule(input, host, rules, model);
  const auto files = vfs::FileSystem::build(rules, options);
  if (files.has_value() != possible) {
    disagree("rules", files ? "fine" : files.error().message(), possible ? "fine" : "refused");
  }
  if (!files) return 0;
  Guest guest(**files, model);
  for (int i = 0; i < kMostSteps && !input.at_end(); ++i) guest.step(input);
  return 0;
}
