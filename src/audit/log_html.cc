#include "audit/log_html.h"

#include <nettle/base64.h>

#include <algorithm>
#include <array>

#include "audit/escape.h"
#include "audit/json_text.h"
#include "audit/log_filter.h"
#include "audit/log_show.h"
#include "audit/sha256.h"
#include "base/path.h"
#include "core/secrets.h"

namespace vitrine::audit {
namespace {

constexpr std::size_t kMaxFilesInPage = 20000;
constexpr std::size_t kMaxDenialsInPage = 2000;
constexpr std::size_t kMaxTextBytes = 32 << 20;
constexpr std::size_t kMaxListBytes = 4 << 20;
constexpr std::size_t kTail = 100;  // of the page, behind its script

// Text for HTML between tags or in quoted attributes.
std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// JSON that no HTML parser can take for markup: these characters occur in strings only.
void append_script_safe(std::string& out, std::string_view json) {
  for (const char c : json) {
    switch (c) {
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  }
}

// A JSON string of text that is printable already.
void append_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

// Every string in `value`, made printable: the first and last line of a log are shown as they are.
Json printable_value(const Json& value) {
  if (value.is_string()) return printable(value.get_ref<const std::string&>());
  if (!value.is_structured()) return value;
  Json copy = value.is_array() ? Json::array() : Json::object();
  for (const auto& [key, item] : value.items()) {
    if (value.is_array()) {
      copy.push_back(printable_value(item));
    } else {
      copy[printable(key)] = printable_value(item);
    }
  }
  return copy;
}

std::string digest_source(std::string_view content) {
  Sha256 sha;
  sha.update(content);
  const auto digest = sha.digest();
  std::array<char, BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE)> text{};
  ::nettle_base64_encode_raw(text.data(), digest.size(), digest.data());
  return "'sha256-" + std::string(text.data(), text.size()) + "'";
}

std::string head(std::string_view title) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src ";
  out += digest_source(html_style());
  out += "; script-src ";
  out += digest_source(html_script());
  out += "; base-uri 'none'; form-action 'none'\">\n";
  out += "<meta name=\"referrer\" content=\"no-referrer\">\n";
  out += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
  out += html_text(printable(title));
  out += "</title>\n<style>";
  out += html_style();
  out += "</style>\n</head>\n";
  return out;
}

// Lists end where they would be too long for a page: in a forged log any name may be.
bool has_room(const std::string& list) { return list.size() < kMaxListBytes; }

void append_files(std::string& list, const LogSummary& summary) {
  std::size_t listed = 0;
  for (const auto& [path, file] : summary.files()) {
    if (++listed > kMaxFilesInPage || !has_room(list)) break;
    list += listed > 1 ? ",[" : "[";
    append_text(list, path);
    for (const std::uint64_t count :
         {file.looked, file.read, file.written, file.run, file.absent, file.refused}) {
      list += ',';
      append_number(list, count);
    }
    list += ']';
  }
}

void append_denials(std::string& list, const LogSummary& summary) {
  std::size_t listed = 0;
  for (const auto& [key, totals] : summary.denials()) {
    if (++listed > kMaxDenialsInPage || !has_room(list)) break;
    list += listed > 1 ? ",[" : "[";
    append_number(list, totals.count);
    list += ',';
    append_number(list, totals.first_us);
    for (const std::string& text :
         {key.syscall, key.target, key.error, key.rule, totals.where, profile_line(key)}) {
      list += ',';
      append_text(list, text);
    }
    list += ']';
  }
}

void append_calls(std::string& list, const LogSummary& summary) {
  for (const auto& [name, totals] : summary.calls()) {
    if (!has_room(list)) break;
    list += list.empty() ? "[" : ",[";
    append_text(list, name);
    for (const std::uint64_t count : {static_cast<std::uint64_t>(family_of(name)), totals.calls,
                                      totals.errors, totals.denied, totals.took_ns}) {
      list += ',';
      append_number(list, count);
    }
    list += ']';
  }
}

void append_samples(std::string& list, const LogSummary& summary) {
  for (const UsageSample& at : summary.samples()) {
    list += list.empty() ? "[" : ",[";
    append_number(list, at.time_us);
    for (const std::uint64_t figure : {at.cpu_us, at.memory_bytes, at.output_bytes}) {
      list += ',';
      append_number(list, figure);
    }
    list += ']';
  }
}

void append_processes(std::string& list, const LogSummary& summary) {
  for (const auto& [pid, process] : summary.processes()) {
    if (!has_room(list)) break;
    list += list.empty() ? "[" : ",[";
    append_number(list, pid);
    list += ',';
    append_number(list, process.threads);
    list += ',';
    append_text(list, process.program);
    list += ',';
    append_text(list, process.end);
    list += ']';
  }
}

// What is shown of one event at most.
std::string shortened(std::string text) {
  constexpr std::size_t kMost = 64 << 10;
  return text.size() <= kMost ? std::move(text) : printable_bounded(text, kMost);
}

std::string result_text(const Json& call) {
  std::string error = printable_bounded(text_field(call, "errno"));
  if (!error.empty()) return error;
  const Json* result = find_field(call, "result");
  return result != nullptr && result->is_number_integer() ? result->dump() : "";
}

// An empty folder in its place would take away what every program needs there.
bool is_of_the_system(std::string_view folder) {
  constexpr std::array<std::string_view, 9> kFolders = {"/bin",  "/dev",  "/etc", "/lib", "/lib64",
                                                        "/proc", "/sbin", "/sys", "/usr"};
  return folder == "/" ||
         std::ranges::any_of(kFolders, [&](auto each) { return is_within(folder, each); });
}

}  // namespace

std::string profile_line(const DenialKey& denial) {
  const std::optional<Unescaped> path = unescape(denial.target);
  // A profile is JSON: it can only name what is plain text, and "*" would be a pattern.
  const bool plain = path && path->left_out == 0 && path->bytes.starts_with('/') &&
                     escape(path->bytes).find("\\x") == std::string::npos &&
                     path->bytes.find('*') == std::string::npos;
  if (!plain || !(denial.rule == "default" || denial.error == "EROFS")) return "";
  if (denial.error != "EROFS") {
    const std::string tidy = tidy_path(path->bytes);
    if (may_hold_secrets(tidy) || is_wide(tidy) || is_made_by_vitrine(tidy)) return "";
    return denial.error == "EPERM" ? "" : "{\"show\": " + Json(path->bytes).dump() + "}";
  }
  const std::string folder(parent_of(path->bytes));
  if (is_of_the_system(folder)) return "";
  return "{\"scratch\": " + Json(folder).dump() + ", \"size\": \"16M\"}";
}

void HtmlPage::add(const LogLine& line) {
  summary_.add(line);
  if (line.type == "start" || line.type == "end") return;
  if (line.type == "syscall") {
    const std::uint64_t tid = count_field(line.json, "tid", count_field(line.json, "pid"));
    timeline_.add(tid, count_field(line.json, "t_us"), family_of(text_field(line.json, "syscall")),
                  is_refused(text_field(line.json, "decision")));
  }
  if (row_count_ < kMaxRows && texts_.size() < kMaxTextBytes) {
    add_row(line);
  } else {
    ++rows_left_out_;
  }
}

// [seq, t_us, pid, tid, name, arguments, decision, rule, result, where]: texts by their index.
void HtmlPage::add_row(const LogLine& line) {
  const Json& json = line.json;
  const bool call = line.type == "syscall";
  const std::uint64_t pid = count_field(json, "pid");
  const std::uint64_t tid = count_field(json, "tid", pid);
  rows_ += row_count_++ > 0 ? ",\n[" : "[";
  append_number(rows_, count_field(json, "seq"));
  for (const std::uint64_t number : {count_field(json, "t_us"), pid, tid}) {
    rows_ += ',';
    append_number(rows_, number);
  }
  const std::array<std::string, 6> texts = {
      call ? printable_bounded(text_field(json, "syscall")) : line.type,
      shortened(call ? readable_arguments(json) + readable_resolved(json) : readable_event(line)),
      call ? printable_bounded(text_field(json, "decision")) : "",
      printable_bounded(text_field(json, "rule")),
      call ? result_text(json) : "",
      printable_bounded(text_field(json, "where"))};
  for (const std::string& text : texts) {
    rows_ += ',';
    append_number(rows_, text_index(text));
  }
  rows_ += ']';
}

std::uint32_t HtmlPage::text_index(const std::string& text) {
  const auto [found, added] = index_.try_emplace(text, static_cast<std::uint32_t>(index_.size()));
  if (added) {
    if (!texts_.empty()) texts_ += ",\n";
    std::string json;
    append_text(json, text);
    append_script_safe(texts_, json);
  }
  return found->second;
}

// Per lane: its task and, for buckets with calls, [bucket, denied, calls by family...].
void HtmlPage::append_timeline(std::string& out) const {
  out += "{\"bucket_us\":";
  append_number(out, timeline_.bucket_us());
  out += ",\"lanes\":[";
  const char* lane_separator = "[";
  for (const Timeline::Lane& lane : timeline_.lanes()) {
    out += lane_separator;
    append_number(out, lane.tid);
    for (std::size_t i = 0; i < Timeline::kBuckets; ++i) {
      const Timeline::Bucket& bucket = lane.buckets[i];
      if (bucket.calls == decltype(bucket.calls){}) continue;
      out += ",[";
      append_number(out, i);
      out += ',';
      append_number(out, bucket.denied);
      for (const std::uint32_t calls : bucket.calls) {
        out += ',';
        append_number(out, calls);
      }
      out += ']';
    }
    out += ']';
    lane_separator = ",[";
  }
  out += "]}";
}

// `texts_` is escaped already, and of numbers there is nothing to escape.
void HtmlPage::append_data(std::string& out) const {
  const auto member = [&](std::string_view name, const std::string& json) {
    out += ",\n\"";
    out += name;
    out += "\":";
    append_script_safe(out, json);
  };
  const auto list = [&](std::string_view name, const auto& append) {
    std::string items;
    append(items, summary_);
    member(name, "[" + items + "]");
  };
  out += "{\"events\":" + std::to_string(summary_.events());
  member("start", printable_value(summary_.start()).dump());
  member("end", printable_value(summary_.end()).dump());
  member("last_us", std::to_string(summary_.last_us()));
  member("rows_left_out", std::to_string(rows_left_out_));
  member("file_count", std::to_string(summary_.files().size()));
  member("denial_count", std::to_string(summary_.denials().size()));
  member("families", Json(kFamilyNames).dump());
  list("calls", append_calls);
  list("processes", append_processes);
  list("samples", append_samples);
  list("denials", append_denials);
  list("files", append_files);
  std::string timeline;
  append_timeline(timeline);
  member("timeline", timeline);
  out.reserve(out.size() + texts_.size() + rows_.size() + html_script().size() + kTail);
  out += ",\n\"texts\":[";
  out += texts_;
  out += "],\"rows\":[";
  out += rows_;
  out += "]}";
}

std::string HtmlPage::render(std::string_view title) const {
  std::string out = head(title);
  out += "<body>\n<noscript>This page shows an audit log with a script of its own.</noscript>\n";
  out += "<main id=\"page\"></main>\n<script type=\"application/json\" id=\"data\">";
  append_data(out);
  out += "</script>\n<script>";
  out += html_script();
  out += "</script>\n</body>\n</html>\n";
  return out;
}

}  // namespace vitrine::audit
