#include "policy/secrets.h"

#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "base/path.h"

namespace vitrine::policy {
namespace {

// Below a home folder, or anywhere else: one name, or a way of several.
constexpr std::array<std::string_view, 37> kNames{".ssh",
                                                  ".gnupg",
                                                  ".aws",
                                                  ".azure",
                                                  ".kube",
                                                  ".docker",
                                                  ".oci",
                                                  ".password-store",
                                                  ".local/share/keyrings",
                                                  ".pki",
                                                  ".mozilla",
                                                  ".thunderbird",
                                                  ".config/gcloud",
                                                  ".config/gh",
                                                  ".config/hub",
                                                  ".config/google-chrome",
                                                  ".config/chromium",
                                                  ".config/op",
                                                  ".config/rclone",
                                                  ".netrc",
                                                  ".pgpass",
                                                  ".my.cnf",
                                                  ".git-credentials",
                                                  ".npmrc",
                                                  ".pypirc",
                                                  ".vault-token",
                                                  ".htpasswd",
                                                  ".s3cfg",
                                                  ".boto",
                                                  ".Xauthority",
                                                  ".ICEauthority",
                                                  ".env",
                                                  "id_rsa",
                                                  "id_dsa",
                                                  "id_ecdsa",
                                                  "id_ed25519",
                                                  ".bash_history"};

// Patterns of one name (glob(7)).
constexpr std::array<const char*, 8> kPatterns{".env.*", "*.key",    "*.p12",     "*.pfx",
                                               "*.kdbx", "*.keytab", ".*history", "ssh_host_*_key"};

constexpr std::array<std::string_view, 20> kPlaces{"/etc/shadow",
                                                   "/etc/shadow-",
                                                   "/etc/gshadow",
                                                   "/etc/gshadow-",
                                                   "/etc/sudoers",
                                                   "/etc/sudoers.d",
                                                   "/etc/ssh",
                                                   "/etc/ssl/private",
                                                   "/etc/krb5.keytab",
                                                   "/etc/security/opasswd",
                                                   "/etc/wireguard",
                                                   "/etc/openvpn",
                                                   "/etc/NetworkManager/system-connections",
                                                   "/etc/kubernetes",
                                                   "/etc/docker",
                                                   "/etc/letsencrypt",
                                                   "/run/secrets",
                                                   "/var/run/secrets",
                                                   "/run/credentials",
                                                   "/var/lib/kubelet"};

constexpr std::size_t kMostSearched = 20'000;  // entries of a folder, at every depth

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

bool has_secret_name(std::string_view path) {
  const std::string all = std::string(path) + "/";
  const bool known = std::ranges::any_of(kNames, [&](std::string_view name) {
    return all.find("/" + std::string(name) + "/") != std::string::npos;
  });
  if (known) return true;
  for (std::size_t start = 1; start < all.size(); start = all.find('/', start) + 1) {
    const std::string name = all.substr(start, all.find('/', start) - start);
    for (const char* pattern : kPatterns) {
      if (::fnmatch(pattern, name.c_str(), 0) == 0) return true;
    }
  }
  return false;
}

// The sixth field of passwd(5).
std::string home_in(const std::string& line) {
  std::size_t start = 0;
  for (int field = 0; field < 5; ++field) {
    start = line.find(':', start);
    if (start == std::string::npos) return {};
    ++start;
  }
  return line.substr(start, line.find(':', start) - start);
}

}  // namespace

std::vector<std::string> home_folders(const std::string& own) {
  std::vector<std::string> homes{"/root"};
  const auto add = [&](const std::string& folder) {
    if (!folder.starts_with('/') || has_dot_dot(folder)) return;
    std::string tidy = tidy_path(folder);
    if (tidy != "/" && std::ranges::find(homes, tidy) == homes.end()) homes.push_back(tidy);
  };
  add(own);
  std::ifstream accounts("/etc/passwd");
  for (std::string line; std::getline(accounts, line);) add(home_in(line));
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/home", ignored)) {
    add(entry.path());
  }
  return homes;
}

bool may_hold_secrets(std::string_view path) {
  const bool placed =
      std::ranges::any_of(kPlaces, [&](std::string_view place) { return is_within(path, place); });
  return placed || has_secret_name(path);
}

std::vector<std::string> secret_places(const std::vector<std::string>& homes) {
  std::vector<std::string> found;
  for (const std::string_view place : kPlaces) found.emplace_back(place);
  for (const std::string& home : homes) {
    for (const std::string_view name : kNames) found.push_back(join_path(home, name));
  }
  std::erase_if(found, [](const std::string& path) { return !exists(path); });
  return found;
}

std::optional<std::string> reason_to_keep(const std::string& folder) {
  namespace fs = std::filesystem;
  if (may_hold_secrets(folder)) return "it may hold secrets";
  std::error_code error;
  std::size_t searched = 0;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied,
                                         error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const std::string path = entry->path();
    if (may_hold_secrets(path)) return "it holds " + path.substr(folder.size() + 1);
    if (++searched > kMostSearched) {
      return "it holds more than " + std::to_string(kMostSearched) + " files";
    }
  }
  if (error) return "it could not be searched: " + error.message();
  return std::nullopt;
}

}  // namespace vitrine::policy
