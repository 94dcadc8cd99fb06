// SHA-256, by libnettle.
#pragma once

#include <nettle/sha2.h>

#include <string>
#include <string_view>

namespace vitrine::audit {

class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  // Of everything so far, in lower-case hexadecimal; more may follow.
  std::string hex() const;

 private:
  sha256_ctx context_;
};

}  // namespace vitrine::audit
