// The command line, its words one a line: options that are understood, or one line that says why
// not.
#include "cli/options.h"

#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vitrine::cli::Arguments words(1);
  for (std::size_t i = 0; i < size; ++i) {
    const char byte = static_cast<char>(data[i]);
    if (byte == '\n') {
      words.emplace_back();
    } else if (byte != '\0') {
      words.back() += byte;
    }
  }
  const auto options = vitrine::cli::parse_run_options(words);
  if (!options && options.error().message().empty()) std::abort();
  if (options && options->command.empty() && !options->help && !options->version) std::abort();
  return 0;
}
