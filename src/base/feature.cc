#include "base/feature.h"

#include <cerrno>
#include <cstdlib>

namespace vitrine {
namespace {

std::uint32_t read_variable() {
  const char* text = std::getenv("VITRINE_TEST_ABSENT");
  std::string_view rest = text == nullptr ? "" : text;
  std::uint32_t found = 0;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view name = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    for (std::size_t i = 0; i < kFeatureNames.size(); ++i) {
      if (kFeatureNames[i] == name) found |= 1U << i;
    }
  }
  return found;
}

}  // namespace

bool is_taken_away(Feature feature) {
  static const std::uint32_t taken_away = read_variable();
  return (taken_away >> static_cast<unsigned>(feature) & 1U) != 0;
}

bool fails_as_absent(Feature feature, int error) {
  if (!is_taken_away(feature)) return false;
  errno = error;
  return true;
}

}  // namespace vitrine
