// The lines of the audit log (contract section 5, vitrine-audit(5)), formatted by hand into a
// string that the caller reuses: this runs once a supervised call.
#pragma once

#include <cstdint>
#include <string>

#include "audit/sink.h"

namespace vitrine::audit {

// "denied", "mediated", "all".
const char* name_of(Level level);

// Each appends one whole line with its newline. Bounded whatever the record holds: an argument by
// kMaxArgumentBytes, a list by kMaxListBytes and kMaxListItems.
void append_line(std::string& out, const StartRecord& record);
void append_line(std::string& out, std::uint64_t seq, const SyscallRecord& record);
void append_line(std::string& out, std::uint64_t seq, const ProcessRecord& record);
void append_line(std::string& out, std::uint64_t seq, const SignalRecord& record);
void append_line(std::string& out, std::uint64_t seq, const LimitRecord& record);
void append_line(std::string& out, std::uint64_t seq, const SampleRecord& record);

struct EndLine {
  std::uint64_t lines = 0;            // before the end line, the start line included
  std::uint64_t events_left_out = 0;  // counted by `seq`, but not in the file
  std::string sha256;                 // of all bytes before the end line
};
void append_end_line(std::string& out, const Report& report, const EndLine& end);

}  // namespace vitrine::audit
