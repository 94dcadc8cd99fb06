#include "audit/sha256.h"

namespace vitrine::audit {

Sha256::Sha256() { ::nettle_sha256_init(&context_); }

void Sha256::update(std::string_view bytes) {
  ::nettle_sha256_update(&context_, bytes.size(),
                         reinterpret_cast<const std::uint8_t*>(bytes.data()));
}

std::array<std::uint8_t, SHA256_DIGEST_SIZE> Sha256::digest() const {
  sha256_ctx copy = context_;  // taking the digest resets the context
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
  ::nettle_sha256_digest(&copy, digest.size(), digest.data());
  return digest;
}

std::string Sha256::hex() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : digest()) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace vitrine::audit
