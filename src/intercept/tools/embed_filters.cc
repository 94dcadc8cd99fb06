// Run at build time: prints builtin_filters.cc, the filters that compile_filter() makes for a
// request without restrictions.
#include <cstdio>

#include "intercept/builtin_filters.h"

namespace {

using vitrine::intercept::FilterAction;

bool print(const char* name, FilterAction action) {
  const auto filter =
      vitrine::intercept::compile_filter({action, {}, vitrine::intercept::kBuiltinChannel});
  if (!filter) {
    std::fprintf(stderr, "%s\n", filter.error().message().c_str());
    return false;
  }
  std::printf("constexpr sock_filter %s[] = {\n", name);
  for (const sock_filter& step : *filter) {
    std::printf("    {0x%x, %u, %u, 0x%x},\n", step.code, step.jt, step.jf, step.k);
  }
  std::printf("};\n\n");
  return true;
}

}  // namespace

int main() {
  std::printf(
      "#include \"intercept/builtin_filters.h\"\n\n"
      "namespace vitrine::intercept {\nnamespace {\n\n");
  if (!print("kNotifyFilter", FilterAction::kNotify)) return 1;
  if (!print("kTraceFilter", FilterAction::kTrace)) return 1;
  std::printf(
      "}  // namespace\n\n"
      "std::span<const sock_filter> builtin_filter(FilterAction action) {\n"
      "  if (action == FilterAction::kNotify) return kNotifyFilter;\n"
      "  return kTraceFilter;\n"
      "}\n\n"
      "}  // namespace vitrine::intercept\n");
  return 0;
}
