// The check of logs. Of any file it says that it is intact only if its last line is an end line
// that holds the digest of what stands before it; and of a log that vitrine wrote and somebody
// edited before its end line (the input says where and how) it never does. Of any lines that get a
// right end line it says so only if their numbers leave nothing out.
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "audit/log_verify.h"
#include "audit/sha256.h"
#include "audit/sink.h"
#include "log_bytes.h"

namespace {

using namespace vitrine;

bool is_intact(std::string_view text) {
  const Result<audit::Verification> result = audit::verify_log(fuzz::file_of(text));
  return result && result->problems.empty();
}

std::string read_all(int fd) {
  std::string text(static_cast<std::size_t>(::lseek(fd, 0, SEEK_END)), '\0');
  if (::pread(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) std::abort();
  return text;
}

// A log as vitrine writes it.
std::string make_log() {
  UniqueFd file(::memfd_create("log", MFD_CLOEXEC));
  const std::unique_ptr<audit::AuditSink> sink =
      audit::make_json_sink(UniqueFd(::dup(file.get())), {});
  sink->write(audit::StartRecord{});
  for (int i = 0; i < 4; ++i) {
    audit::SyscallRecord call;
    call.syscall = "openat";
    call.arguments = {{"path", audit::Bytes{"/etc/shadow"}}};
    call.result = -2;
    sink->write(call);
  }
  if (!sink->finish(Report{})) std::abort();
  return read_all(file.get());
}

std::size_t end_line_of(std::string_view text) {
  const std::size_t last = text.find_last_not_of('\n');
  const std::size_t before = text.rfind('\n', last);
  return before == std::string_view::npos ? 0 : before + 1;
}

void check_claim(std::string_view text) {
  if (!is_intact(text)) return;
  const std::size_t end = end_line_of(text);
  audit::Sha256 sha;
  sha.update(text.substr(0, end));
  const auto line = audit::Json::parse(text.substr(end), nullptr, false);
  if (!line.is_object() || audit::text_field(line, "type") != "end") std::abort();
  if (audit::text_field(line, "sha256") != sha.hex()) std::abort();
}

// The input: where (two bytes), how many bytes are taken away there (one), and what is put there.
void check_edit(std::string_view edit) {
  static const std::string log = make_log();
  static const std::size_t end = end_line_of(log);
  static const bool known = is_intact(log);
  if (!known) std::abort();
  if (edit.size() < 3) return;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(edit[i]); };
  const std::size_t at = (byte(0) + 256U * byte(1)) % end;
  const std::size_t taken = std::min<std::size_t>(byte(2), end - at);
  std::string edited = log;
  edited.replace(at, taken, edit.substr(3));
  if (edited != log && is_intact(edited)) std::abort();
}

// The input's whole lines, and an end line that counts them and holds their digest.
void check_numbers(std::string_view input) {
  const std::string_view body = input.substr(0, input.rfind('\n') + 1);
  audit::Sha256 sha;
  sha.update(body);
  audit::Json end{{"type", "end"},
                  {"lines", std::ranges::count(body, '\n')},
                  {"events_left_out", 0},
                  {"sha256", sha.hex()}};
  if (body.empty() || !is_intact(std::string(body) + end.dump() + "\n")) return;
  std::uint64_t next = 0;  // the first line has none
  for (std::size_t at = 0; at < body.size(); ++next) {
    const std::size_t newline = body.find('\n', at);
    const auto line = audit::Json::parse(body.substr(at, newline - at), nullptr, false);
    const bool first = audit::text_field(line, "type") == "start";
    if (first != (next == 0)) std::abort();
    if (!first && audit::count_field(line, "seq") != next) std::abort();
    at = newline + 1;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_claim(input);
  check_edit(input);
  check_numbers(input);
  return 0;
}
