#include "core/secrets.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/path.h"

namespace vitrine {
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

}  // namespace

bool may_hold_secrets(std::string_view path) {
  const bool placed =
      std::ranges::any_of(kPlaces, [&](std::string_view place) { return is_within(path, place); });
  return placed || has_secret_name(path);
}

bool is_wide(std::string_view path) {
  const std::string_view parent = parent_of(path);
  return parent == "/" || parent == "/home";
}

bool is_made_by_vitrine(std::string_view path) {
  return is_within(path, "/proc") || is_within(path, "/sys") || is_within(path, "/dev");
}

std::span<const std::string_view> secret_names() { return kNames; }
std::span<const std::string_view> secret_locations() { return kPlaces; }

}  // namespace vitrine
