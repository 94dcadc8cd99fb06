// What each shipped profile lets reach the kernel, call by call with the conditions on its
// registers, against the lists in tests/golden: a change of the table, of the rules or of a profile
// shows there, to be read line by line. VITRINE_UPDATE_GOLDEN=1 writes them anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "arch/syscall_table.h"
#include "bpf_machine.h"
#include "intercept/builtin_filters.h"
#include "intercept/filter.h"
#include "intercept/native_rules.h"
#include "policy/builder.h"
#include "policy/builtin_profiles.h"
#include "policy/profile_store.h"

namespace vitrine {
namespace {

using intercept::FilterAction;
using intercept::NativeRule;

constexpr int kChannel = intercept::kBuiltinChannel;

policy::Policy policy_of(const std::string& name) {
  const auto profiles = policy::load_profiles({name});
  EXPECT_TRUE(profiles.has_value()) << name;
  policy::PolicyBuilder builder;
  for (const policy::Profile& profile : *profiles) builder.extend(profile);
  return std::move(builder).build();
}

std::string hex(std::uint64_t value) {
  std::ostringstream out;
  out << std::showbase << std::hex << value;
  return out.str();
}

std::string condition(const arch::SyscallRow& row, unsigned argument, std::uint64_t mask,
                      std::uint64_t value) {
  const std::string name(row.arguments[argument].name);
  const bool whole = mask == ~std::uint64_t{0};
  return (whole ? name : name + " & " + hex(mask)) + " == " + hex(value);
}

// Descriptors from the channel's number on are the supervisor's to look at.
std::string below_channel(const arch::SyscallRow& row) {
  std::string text;
  for (std::size_t i = 0; i < row.arguments.size(); ++i) {
    if (row.name == "recvmsg" || !intercept::is_descriptor_argument(row, i)) continue;
    text += (text.empty() ? "" : ", ") + std::string(row.arguments[i].name) + " < channel";
  }
  return text;
}

std::string line(const arch::SyscallRow& row, const std::string& conditions) {
  const std::string guard = row.name == "close_range" ? "last < channel" : below_channel(row);
  const std::string both = conditions + (conditions.empty() || guard.empty() ? "" : ", ") + guard;
  return std::string(row.name) + (both.empty() ? "" : ": " + both) + "\n";
}

std::string list_of(const policy::Policy& policy) {
  std::string text;
  for (const arch::SyscallRow& row : arch::all_syscalls()) {
    if (arch::native_number(row) < 0 || policy.call_rule(row.name) != nullptr) continue;
    if (row.disposition == arch::kNative) text += line(row, "");
    if (row.disposition != arch::kConditional) continue;
    for (const NativeRule& rule : intercept::native_rules()) {
      if (rule.syscall != row.name) continue;
      std::string conditions = condition(row, rule.argument, rule.mask, rule.value);
      if (rule.mask2 != 0) {
        conditions += ", " + condition(row, rule.argument2, rule.mask2, rule.value2);
      }
      text += line(row, conditions);
    }
  }
  return text;
}

std::vector<std::string> profile_names() {
  std::vector<std::string> all;
  for (const policy::BuiltinProfile& profile : policy::builtin_profiles()) {
    all.emplace_back(profile.name);
  }
  return all;
}

// Without a condition at all: no descriptor among its arguments.
bool takes_any(const arch::SyscallRow* row) {
  return row != nullptr && row->disposition == arch::kNative &&
         line(*row, "").find(':') == std::string::npos;
}

class GoldenList : public testing::TestWithParam<std::string> {};

TEST_P(GoldenList, IsWhatTheProfileLetsReachTheKernel) {
  const std::string path = VITRINE_SOURCE_DIR "/tests/golden/" + GetParam() + ".txt";
  const std::string found = list_of(policy_of(GetParam()));
  if (std::getenv("VITRINE_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << found;
  std::ifstream file(path);
  const std::string golden{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(golden.empty()) << path;
  EXPECT_EQ(found, golden);
}

// Every number of all three ABIs, through the filter that is compiled for the profile: with
// arguments of zero, and with ones that no rule names, exactly the names on the list are let
// through.
TEST_P(GoldenList, IsWhatTheFilterLetsThrough) {
  const policy::Policy policy = policy_of(GetParam());
  std::map<std::string, bool> listed;  // by name: without a condition but the channel's
  std::istringstream lines(list_of(policy));
  for (std::string text; std::getline(lines, text);) {
    listed[text.substr(0, text.find(':'))] |= text.find("==") == std::string::npos;
  }
  const auto restricted = [&](const arch::SyscallRow& row) {
    return policy.call_rule(row.name) != nullptr;
  };
  for (const FilterAction action : {FilterAction::kNotify, FilterAction::kTrace}) {
    const auto filter = intercept::compile_filter({action, restricted, kChannel});
    ASSERT_TRUE(filter.has_value());
    test::BpfMachine machine(*filter);
    for (int number = 0; number < 1024; ++number) {
      seccomp_data data{};
      data.nr = number;
      const auto allowed = [&] { return machine.run(data) == SECCOMP_RET_ALLOW; };
      data.arch = arch::kNativeAuditArch;
      const arch::SyscallRow* row = arch::find_syscall(static_cast<std::uint64_t>(number));
      const auto entry = listed.find(row == nullptr ? "" : std::string(row->name));
      EXPECT_TRUE(!allowed() || entry != listed.end()) << number;
      const bool always = entry != listed.end() && entry->second;
      EXPECT_TRUE(!always || allowed()) << number;
      std::ranges::fill(data.args, 0x7ffa5a5a5a5ULL);  // of no rule, above the channel
      EXPECT_FALSE(allowed() && !takes_any(row)) << number;
      data.nr = number | 0x40000000;
      EXPECT_FALSE(allowed()) << "x32 " << number;
      data = {.nr = number, .arch = 0x40000003, .instruction_pointer = 0, .args = {}};  // i386
      EXPECT_FALSE(allowed()) << "i386 " << number;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Profiles, GoldenList, testing::ValuesIn(profile_names()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace vitrine
