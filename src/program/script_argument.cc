#include "program/script_argument.h"

#include <algorithm>
#include <array>

namespace vitrine::program {
namespace {

// How an interpreter reads its options, as far as is needed to find the first other argument.
struct Grammar {
  std::string_view name;
  std::string_view with_argument;  // short options with an argument, in the same word or the next
  std::string_view no_script;      // short options after which there is no script
  // Long options with an argument in the next word, and those after which there is no script; each
  // between spaces.
  std::string_view long_with_argument;
  std::string_view long_no_script;
};

// Python/getopt.c of CPython; bash(1), dash(1), perlrun(1), ruby(1), lua(1), node(1).
constexpr std::array<Grammar, 11> kGrammars{{
    {"python", "XW", "cmVh?", " --check-hash-based-pycs ",
     " --help --version --help-env --help-xoptions --help-all "},
    {"bash", "oO", "cs", " --rcfile --init-file ", " --help --version "},
    {"sh", "o", "cs", "", " --help --version "},
    {"dash", "o", "cs", "", ""},
    {"ksh", "o", "cs", "", ""},
    {"zsh", "o", "cs", "", " --help --version "},
    {"perl", "", "eEvVh", "", " --help --version "},
    {"ruby", "IrCEFTKW", "evh", " --encoding --external-encoding --internal-encoding ",
     " --help --version --copyright "},
    {"lua", "l", "ev", "", ""},
    {"node", "rC", "epvhi", " --require --import --loader --conditions --eval --print ",
     " --eval --print --help --version --interactive "},
    {"php", "cdz", "rBRFEvhims", "", " --help --version --run "},
}};

// "python" of "python3.11", "lua" of "lua5.4".
std::string_view family_of(std::string_view name) {
  if (is_python_name(name)) return "python";
  const auto end = name.find_first_of("0123456789");
  name = name.substr(0, end);
  if (name == "rbash") return "bash";
  if (name == "nodejs") return "node";
  return name;
}

bool lists(std::string_view words, std::string_view word) {
  return words.find(" " + std::string(word) + " ") != std::string_view::npos;
}

enum class Next { kOption, kSkipOne, kNoScript };

// What the bundle of short options in `word` ("-Ic") says.
Next read_short(const Grammar& grammar, std::string_view word) {
  for (std::size_t i = 1; i < word.size(); ++i) {
    if (grammar.no_script.find(word[i]) != std::string_view::npos) return Next::kNoScript;
    if (grammar.with_argument.find(word[i]) != std::string_view::npos) {
      return i + 1 == word.size() ? Next::kSkipOne : Next::kOption;
    }
  }
  return Next::kOption;
}

Next read_option(const Grammar& grammar, std::string_view word) {
  if (!word.starts_with("--")) return read_short(grammar, word);
  if (lists(grammar.long_no_script, word.substr(0, word.find('=')))) return Next::kNoScript;
  return lists(grammar.long_with_argument, word) ? Next::kSkipOne : Next::kOption;
}

}  // namespace

bool is_python_name(std::string_view name) {
  for (const std::string_view family : {"python", "pypy"}) {
    if (!name.starts_with(family)) continue;
    std::string_view rest = name.substr(family.size());
    if (rest.ends_with("-dbg")) rest.remove_suffix(4);
    if (rest.find_first_not_of("0123456789.") == std::string_view::npos) return true;
    // ABI flags: "python3.7m", "python3.13t", "python3.13td"
    const auto flags = rest.find_first_of("mtd");
    return flags != 0 && flags != std::string_view::npos &&
           rest.substr(0, flags).find_first_not_of("0123456789.") == std::string_view::npos &&
           rest.substr(flags).find_first_not_of("mtd") == std::string_view::npos;
  }
  return false;
}

std::optional<std::size_t> script_argument(std::string_view name,
                                           const std::vector<std::string>& argv) {
  const std::string_view family = family_of(name);
  const auto grammar = std::find_if(kGrammars.begin(), kGrammars.end(),
                                    [&](const Grammar& g) { return g.name == family; });
  if (grammar == kGrammars.end()) return std::nullopt;
  for (std::size_t i = 1; i < argv.size(); ++i) {
    const std::string_view word = argv[i];
    if (word == "-") return std::nullopt;  // standard input
    if (word == "--") return i + 1 < argv.size() ? std::optional(i + 1) : std::nullopt;
    const bool plus_option = family != "python" && word.starts_with('+') && word.size() > 1;
    if (!word.starts_with('-') && !plus_option) return i;
    const Next next = read_option(*grammar, word);
    if (next == Next::kNoScript) return std::nullopt;
    if (next == Next::kSkipOne) ++i;
  }
  return std::nullopt;
}

}  // namespace vitrine::program
