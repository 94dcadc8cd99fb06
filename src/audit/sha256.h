// SHA-256, by libnettle.
#pragma once

#include <nettle/sha2.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace vitrine::audit {

class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  // Of everything so far; more may follow.
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest() const;
  // In lower-case hexadecimal.
  std::string hex() const;

 private:
  sha256_ctx context_;
};

}  // namespace vitrine::audit
