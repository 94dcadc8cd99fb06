#include "audit/log_verify.h"

#include "audit/sha256.h"

namespace vitrine::audit {
namespace {

constexpr std::size_t kMaxProblems = 10;

class Verifier {
 public:
  void add(const LogLine& line);
  void problem(std::string sentence) {
    if (result_.problems.size() < kMaxProblems) result_.problems.push_back(std::move(sentence));
  }
  Verification finish();

 private:
  void check_event(const LogLine& line);
  void check_end(const LogLine& line);

  Verification result_;
  Sha256 sha_;
  std::uint64_t last_seq_ = 0;
  std::uint64_t missing_ = 0;  // gaps in seq so far
  bool ended_ = false;
};

std::string at_line(const LogLine& line, std::string_view what) {
  std::string sentence = "line ";
  sentence += std::to_string(line.number);
  sentence += ": ";
  sentence += what;
  return sentence;
}

void Verifier::add(const LogLine& line) {
  ++result_.lines;
  if (ended_) problem(at_line(line, "stands after the end line"));
  if (line.type == "end") return check_end(line);
  sha_.update(line.text);
  sha_.update("\n");
  if (line.type == "start") {
    if (line.number != 1) problem(at_line(line, "a start line that is not the first line"));
  } else {
    if (line.number == 1) problem("the first line is not a start line");
    check_event(line);
  }
}

void Verifier::check_event(const LogLine& line) {
  const std::uint64_t seq = count_field(line.json, "seq");
  if (seq <= last_seq_) {
    problem(at_line(line, "its \"seq\" does not increase"));
    return;
  }
  missing_ += seq - last_seq_ - 1;
  last_seq_ = seq;
}

void Verifier::check_end(const LogLine& line) {
  ended_ = true;
  result_.sha256 = sha_.hex();
  result_.events_left_out = count_field(line.json, "events_left_out");
  if (count_field(line.json, "lines") != result_.lines - 1) {
    problem("the end line counts " + std::to_string(count_field(line.json, "lines")) +
            " lines before it, the file has " + std::to_string(result_.lines - 1));
  }
  // Events may also be missing after the last line that was written.
  if (missing_ > result_.events_left_out) {
    problem(std::to_string(missing_) + " events are missing, the end line admits " +
            std::to_string(result_.events_left_out));
  }
  if (text_field(line.json, "sha256") != result_.sha256) {
    problem("the SHA-256 in the end line is not that of the lines before it: " + result_.sha256);
  }
}

Verification Verifier::finish() {
  if (result_.lines == 0 && result_.problems.empty()) problem("the file is empty");
  if (!ended_ && result_.lines > 0) problem("there is no end line: the run did not finish writing");
  return std::move(result_);
}

}  // namespace

Result<Verification> verify_log(UniqueFd fd, const std::function<void(std::uint64_t)>& progress) {
  LogReader reader(std::move(fd));
  Verifier verifier;
  LogLine line;
  while (true) {
    const Result<bool> more = reader.next(line);
    if (progress) progress(reader.bytes_read());
    if (!more && more.error().kind != Error::Kind::kInvalid) {
      return tl::make_unexpected(more.error());
    }
    if (!more) {
      verifier.problem(more.error().message());
    } else if (*more) {
      verifier.add(line);
    } else {
      return verifier.finish();
    }
  }
}

}  // namespace vitrine::audit
