// The reader of arguments, over memory that the input describes: every string and value is what
// the memory holds, byte by byte, or the error that the kernel would give; nothing is read twice.
//
// The input: nr (2 bytes), ABI (1), six argument words (2 each: a selector of a base and an
// offset), then pages of memory: a byte of protection and a byte of content that is repeated with a
// change.
#include <linux/audit.h>
#include <linux/limits.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "fuzz_input.h"
#include "tracee/memory.h"

namespace {

using namespace vitrine;

constexpr std::uint64_t kPage = 4096;
// Where pages can lie: low, in the middle, at the end of the user's half, and at the very end.
constexpr std::uint64_t kBases[] = {0, 0x10000, 0x7ffffffff000 - 4 * kPage, ~0ULL - 4 * kPage + 1};

// Pages; what none holds cannot be read. Each byte is read at most once for each string: a sibling
// thread could have changed it meanwhile.
class FakeMemory final : public tracee::Memory {
 public:
  void map(std::uint64_t address, const std::vector<std::byte>& content) {
    pages_[address] = {content, std::vector<std::uint8_t>(kPage)};
  }
  std::optional<std::byte> at(std::uint64_t address) const {
    const auto page = pages_.find(address & ~(kPage - 1));
    if (page == pages_.end()) return std::nullopt;
    return page->second.content[address % kPage];
  }

  Status read(tracee::RemoteAddress from, std::span<std::byte> out) const override {
    if (out.size() > PATH_MAX) std::abort();
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::uint64_t address = from + i;
      const auto page = pages_.find(address & ~(kPage - 1));
      if (address < from || page == pages_.end()) return fail(EFAULT, "fake");
      if (++page->second.reads[address % kPage] > most_reads_) std::abort();
      out[i] = page->second.content[address % kPage];
    }
    return {};
  }
  Status write(tracee::RemoteAddress, std::span<const std::byte>) const override { std::abort(); }
  // From now on: as many strings may lie at the same place.
  void expect_strings(int count) {
    for (auto& [address, page] : pages_) std::ranges::fill(page.reads, std::uint8_t{0});
    most_reads_ = count;
  }

 private:
  struct Page {
    std::vector<std::byte> content;
    std::vector<std::uint8_t> reads;
  };
  mutable std::map<std::uint64_t, Page> pages_;
  int most_reads_ = 0;
};

// What getname_flags (fs/namei.c) makes of the bytes there.
StringArgument expected(const FakeMemory& memory, std::uint64_t from) {
  StringArgument result;
  for (std::uint64_t i = 0; i < PATH_MAX; ++i) {
    const std::optional<std::byte> byte = from + i < from ? std::nullopt : memory.at(from + i);
    if (!byte) return {{}, EFAULT};
    if (*byte == std::byte{0}) return result;
    result.bytes += static_cast<char>(*byte);
  }
  return {{}, ENAMETOOLONG};
}

void check_equal(const StringArgument& got, const StringArgument& wanted) {
  if (got.error != wanted.error || got.bytes != wanted.bytes) std::abort();
}

FakeMemory memory_of(fuzz::Input& input) {
  FakeMemory memory;
  while (!input.at_end()) {
    const std::uint8_t where = input.byte();
    std::vector<std::byte> content(kPage, std::byte{input.byte()});
    // A few bytes of its own, anywhere in the page.
    for (int i = where >> 5; i > 0 && !input.at_end(); --i) {
      const std::size_t at = input.word() % kPage;
      content[at] = std::byte{input.byte()};
    }
    memory.map(kBases[where & 3] + ((where >> 2) & 3) * kPage, content);
  }
  return memory;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  SyscallEvent event;
  event.number = input.word();
  const std::uint8_t abi = input.byte();
  event.audit_arch = (abi & 1) != 0 ? AUDIT_ARCH_I386 : arch::kNativeAuditArch;
  if ((abi & 2) != 0) event.number |= arch::kX32Bit;
  for (std::uint64_t& argument : event.arguments) {
    const std::uint16_t word = input.word();
    argument = kBases[word & 3] + (word >> 2);
  }
  FakeMemory memory = memory_of(input);

  const bool foreign = event.audit_arch != arch::kNativeAuditArch || (abi & 2) != 0;
  const arch::SyscallRow* row = foreign ? nullptr : arch::find_syscall(event.number);
  const auto is_path = [row](std::size_t i) {
    return row != nullptr && row->arguments[i].kind == arch::kPath;
  };
  int strings = 0;
  for (std::size_t i = 0; i < event.arguments.size(); ++i) strings += is_path(i) ? 1 : 0;
  memory.expect_strings(strings);
  const DecodedCall call = tracee::decode(event, memory);
  if (call.foreign_abi != foreign) std::abort();
  if (call.row != row) std::abort();
  for (std::size_t i = 0; i < event.arguments.size(); ++i) {
    if (call.strings[i].has_value() != is_path(i)) std::abort();
    if (is_path(i)) check_equal(*call.strings[i], expected(memory, event.arguments[i]));
  }
  memory.expect_strings(1);
  const std::uint64_t anywhere = event.arguments[0];
  check_equal(memory.read_path(anywhere), expected(memory, anywhere));
  return 0;
}
