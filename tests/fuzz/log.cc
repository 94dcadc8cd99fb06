// The reader of audit logs, on any file: it ends, gives out lines that are objects with a type, and
// never more bytes than there are.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "audit/log_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vitrine::UniqueFd file(::memfd_create("log", MFD_CLOEXEC));
  if (!file || ::write(file.get(), data, size) != static_cast<ssize_t>(size)) std::abort();
  ::lseek(file.get(), 0, SEEK_SET);
  vitrine::audit::LogReader reader(std::move(file));
  vitrine::audit::LogLine line;
  std::size_t turns = 0;
  for (;;) {
    const vitrine::Result<bool> more = reader.next(line);
    if (!more && more.error().kind != vitrine::Error::Kind::kInvalid) break;
    if (more && !*more) break;
    if (more && !line.json.is_object()) std::abort();
    if (++turns > size + 1) std::abort();
  }
  if (reader.bytes_read() > size) std::abort();
  return 0;
}
