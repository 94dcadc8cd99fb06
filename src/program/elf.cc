#include "program/elf.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>

#include "base/path.h"
#include "base/unique_fd.h"
#include "program/host_files.h"

namespace vitrine::program {
namespace {

#if defined(__x86_64__)
constexpr Elf64_Half kNativeMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half kNativeMachine = EM_AARCH64;
#endif

constexpr std::size_t kMostHeaders = 128;
constexpr std::size_t kMostDynamic = 4096;
constexpr std::size_t kMostLibraries = 256;

class ElfFile {
 public:
  static Result<ElfFile> open(const std::string& path) {
    ElfFile file;
    file.fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file.fd_) return fail_errno(path);
    Elf64_Ehdr header{};
    if (!file.read(0, &header, sizeof header) ||
        std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != kNativeMachine || header.e_phentsize != sizeof(Elf64_Phdr) ||
        header.e_phnum > kMostHeaders) {
      return fail(ENOEXEC, path);
    }
    file.segments_.resize(header.e_phnum);
    if (!file.read(header.e_phoff, file.segments_.data(),
                   file.segments_.size() * sizeof(Elf64_Phdr))) {
      return fail(ENOEXEC, path);
    }
    return file;
  }

  const Elf64_Phdr* segment(Elf64_Word type) const {
    const auto is_type = [&](const Elf64_Phdr& segment) { return segment.p_type == type; };
    const auto found = std::find_if(segments_.begin(), segments_.end(), is_type);
    return found == segments_.end() ? nullptr : &*found;
  }

  // A NUL-terminated string of at most PATH_MAX bytes; "" where there is none.
  std::string string_at(std::uint64_t offset, std::uint64_t most) const {
    std::string text(std::min<std::uint64_t>(most, PATH_MAX), '\0');
    const std::size_t size = read_some(offset, text.data(), text.size());
    const auto end = text.find('\0');
    if (end == std::string::npos || end >= size) return "";
    text.resize(end);
    return text;
  }

  std::vector<Elf64_Dyn> dynamic() const {
    const Elf64_Phdr* const segment = this->segment(PT_DYNAMIC);
    if (segment == nullptr) return {};
    const std::size_t count =
        std::min<std::uint64_t>(segment->p_filesz / sizeof(Elf64_Dyn), kMostDynamic);
    std::vector<Elf64_Dyn> entries(count);
    if (!read(segment->p_offset, entries.data(), count * sizeof(Elf64_Dyn))) return {};
    const auto is_end = [](const Elf64_Dyn& entry) { return entry.d_tag == DT_NULL; };
    entries.erase(std::find_if(entries.begin(), entries.end(), is_end), entries.end());
    return entries;
  }

  // Where in the file the byte is that is loaded at `address`.
  std::optional<std::uint64_t> offset_of(std::uint64_t address) const {
    for (const Elf64_Phdr& segment : segments_) {
      if (segment.p_type != PT_LOAD || address < segment.p_vaddr) continue;
      const std::uint64_t within = address - segment.p_vaddr;
      if (within < segment.p_filesz) return segment.p_offset + within;
    }
    return std::nullopt;
  }

 private:
  std::size_t read_some(std::uint64_t offset, void* out, std::size_t size) const {
    if (offset > static_cast<std::uint64_t>(LLONG_MAX) - size) return 0;
    const ssize_t count = ::pread(fd_.get(), out, size, static_cast<off_t>(offset));
    return count < 0 ? 0 : static_cast<std::size_t>(count);
  }

  bool read(std::uint64_t offset, void* out, std::size_t size) const {
    return read_some(offset, out, size) == size;
  }

  UniqueFd fd_;
  std::vector<Elf64_Phdr> segments_;
};

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

std::vector<std::string> folders_of(std::string list, const std::string& origin) {
  replace_all(list, "${ORIGIN}", origin);
  replace_all(list, "$ORIGIN", origin);
  std::vector<std::string> folders;
  for (const std::string& folder : split_path(list)) {
    // A relative one would depend on the working directory; $LIB and $PLATFORM are for the
    // system's.
    if (folder.starts_with('/') && folder.find('$') == std::string::npos) folders.push_back(folder);
  }
  return folders;
}

// Where DT_NEEDED `name` is found along `folders`.
std::optional<std::string> find_library(const std::string& name,
                                        const std::vector<std::string>& folders) {
  if (name.find('/') != std::string::npos) return std::nullopt;
  for (const std::string& folder : folders) {
    std::string candidate = folder + "/" + name;
    if (is_regular_file(candidate)) return candidate;
  }
  return std::nullopt;
}

std::string folder_of_real(const std::string& path) {
  return std::string(parent_of(real_path(path).value_or(path)));
}

}  // namespace

Result<ElfNeeds> read_elf(const std::string& path, const std::string& origin) {
  const auto file = ElfFile::open(path);
  if (!file) return tl::make_unexpected(file.error());
  ElfNeeds needs;
  if (const Elf64_Phdr* const loader = file->segment(PT_INTERP)) {
    needs.loader = file->string_at(loader->p_offset, loader->p_filesz);
  }
  const std::vector<Elf64_Dyn> dynamic = file->dynamic();
  const auto value_of = [&](Elf64_Sxword tag) -> std::uint64_t {
    for (const Elf64_Dyn& entry : dynamic) {
      if (entry.d_tag == tag) return entry.d_un.d_val;
    }
    return 0;
  };
  const auto strings = file->offset_of(value_of(DT_STRTAB));
  const std::uint64_t strings_size = value_of(DT_STRSZ);
  if (!strings) return needs;
  const auto string_of = [&](std::uint64_t index) -> std::string {
    return index < strings_size ? file->string_at(*strings + index, strings_size - index) : "";
  };
  for (const Elf64_Dyn& entry : dynamic) {
    if (entry.d_tag == DT_NEEDED && needs.libraries.size() < kMostLibraries) {
      needs.libraries.push_back(string_of(entry.d_un.d_val));
    }
  }
  // ld.so(8): DT_RPATH counts only where there is no DT_RUNPATH.
  std::uint64_t run_path = value_of(DT_RUNPATH);
  if (run_path == 0) run_path = value_of(DT_RPATH);
  if (run_path != 0) needs.run_path = folders_of(string_of(run_path), origin);
  return needs;
}

std::vector<std::string> libraries_by_run_path(const std::string& path) {
  std::vector<std::string> found{path};  // the program itself, for the loop's sake
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto needs = read_elf(found[i], folder_of_real(found[i]));
    if (!needs) continue;
    for (const std::string& name : needs->libraries) {
      auto library = find_library(name, needs->run_path);
      if (!library || found.size() > kMostLibraries) continue;
      if (std::find(found.begin(), found.end(), *library) == found.end()) {
        found.push_back(std::move(*library));
      }
    }
  }
  found.erase(found.begin());
  return found;
}

}  // namespace vitrine::program
