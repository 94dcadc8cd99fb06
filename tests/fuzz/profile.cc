// The profile loader, on any text: an error that names a place, or a profile.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "policy/profile_loader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto profile = vitrine::policy::parse_profile(text, "p", "p.json");
  if (!profile && profile.error().message().empty()) std::abort();
  return 0;
}
