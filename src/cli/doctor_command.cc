#include "cli/doctor_command.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "cli/exit_status.h"
#include "cli/messages.h"
#include "cli/standard_output.h"
#include "intercept/probes.h"

namespace vitrine::cli {
namespace {

using intercept::BackendVerdict;
using intercept::Lack;
using intercept::Probe;
using Json = nlohmann::ordered_json;

struct Findings {
  std::vector<Probe> probes;
  std::vector<BackendVerdict> backends;
  const BackendVerdict* best = nullptr;
  std::vector<Lack> lacks;                 // of the best one
  std::vector<std::string_view> requests;  // to the administrator
};

void ask(Findings& findings, const Probe& probe) {
  const bool asked = std::ranges::find(findings.requests, probe.advice) != findings.requests.end();
  if (!asked && !probe.advice.empty()) findings.requests.push_back(probe.advice);
}

// What the backends before the best one miss (all of them where there is none), then what it lacks.
Findings examine() {
  Findings findings;
  findings.probes = intercept::run_probes();
  findings.backends = intercept::judge_backends(findings.probes);
  for (const BackendVerdict& backend : findings.backends) {
    if (backend.works) {
      findings.best = &backend;
      break;
    }
    for (const Probe* probe : backend.missing) ask(findings, *probe);
  }
  if (findings.best == nullptr) return findings;
  findings.lacks = intercept::lacks_of(findings.best->name, findings.probes);
  for (const Lack& lack : findings.lacks) ask(findings, *lack.probe);
  return findings;
}

std::string answer_text(const Probe& probe) {
  std::string text = intercept::name_of(probe.answer);
  if (probe.signal != 0) return text + " (SIG" + ::sigabbrev_np(probe.signal) + ")";
  if (probe.error != 0) return text + " (" + ::strerrorname_np(probe.error) + ")";
  return probe.detail.empty() ? text : text + ", " + probe.detail;
}

std::string reasons(const BackendVerdict& backend) {
  std::string text;
  for (const Probe* probe : backend.missing) {
    text += (text.empty() ? "" : ", ") + std::string(probe->name) + " " + answer_text(*probe);
  }
  return text;
}

std::string padded(std::string_view text, std::size_t width) {
  return std::string(text) + std::string(text.size() < width ? width - text.size() : 0, ' ') + " ";
}

// --- for people

std::string table(const Findings& findings) {
  constexpr std::size_t kNameWidth = 22;
  constexpr std::size_t kAnswerWidth = 22;
  std::string text = "primitives, each tried in a process of its own\n";
  for (const Probe& probe : findings.probes) {
    text += "  " + padded(probe.name, kNameWidth) + padded(answer_text(probe), kAnswerWidth) +
            std::string(probe.what) + "\n";
  }
  text += "\nbackends, in the order in which auto tries them\n";
  for (const BackendVerdict& backend : findings.backends) {
    text += "  " + padded(backend.name, kNameWidth) +
            (backend.works ? "works" : "cannot enforce: " + reasons(backend)) + "\n";
  }
  return text;
}

std::string conclusion(const Findings& findings) {
  std::string text;
  if (findings.best == nullptr) {
    text = "\nno backend can enforce here: vitrine refuses to run anything\n";
  } else {
    text = "\nauto takes " + std::string(findings.best->name) + "\n";
    for (const Lack& lack : findings.lacks) {
      text += "  without " + std::string(lack.probe->name) + ": " + std::string(lack.consequence) +
              "\n";
    }
  }
  if (findings.requests.empty()) return text;
  text += "\nto ask the administrator for\n";
  for (const std::string_view request : findings.requests)
    text += "  " + std::string(request) + "\n";
  return text;
}

// --- for machines

Json probe_json(const Probe& probe) {
  Json object;
  object["name"] = probe.name;
  object["what"] = probe.what;
  object["answer"] = intercept::name_of(probe.answer);
  object["errno"] = probe.error == 0 ? Json() : Json(::strerrorname_np(probe.error));
  object["signal"] =
      probe.signal == 0 ? Json() : Json(std::string("SIG") + ::sigabbrev_np(probe.signal));
  object["detail"] = probe.detail.empty() ? Json() : Json(probe.detail);
  return object;
}

Json backend_json(const BackendVerdict& backend) {
  Json missing = Json::array();
  for (const Probe* probe : backend.missing) missing.push_back(probe->name);
  Json object;
  object["name"] = backend.name;
  object["works"] = backend.works;
  object["missing"] = std::move(missing);
  return object;
}

std::string document(const Findings& findings) {
  utsname host{};
  (void)::uname(&host);
  Json object;
  object["vitrine"] = VITRINE_VERSION;
  object["schema"] = 1;
  object["kernel"] = host.release;
  object["machine"] = host.machine;
  object["uid"] = ::geteuid();
  object["best"] = findings.best == nullptr ? Json() : Json(findings.best->name);
  object["backends"] = Json::array();
  for (const BackendVerdict& backend : findings.backends) {
    object["backends"].push_back(backend_json(backend));
  }
  object["lacks"] = Json::array();
  for (const Lack& lack : findings.lacks) {
    object["lacks"].push_back({{"probe", lack.probe->name}, {"consequence", lack.consequence}});
  }
  object["ask"] = findings.requests;
  object["probes"] = Json::array();
  for (const Probe& probe : findings.probes) object["probes"].push_back(probe_json(probe));
  return object.dump(1) + "\n";
}

}  // namespace

int run_doctor_command(const Arguments& arguments) {
  const bool json = arguments == Arguments{"--json"};
  if (!arguments.empty() && !json) {
    say_error("doctor: takes no argument but --json");
    return kExitFailed;
  }
  const Findings findings = examine();
  StandardOutput out;
  out.append(json ? document(findings) : table(findings) + conclusion(findings));
  if (const auto finished = out.finish(); !finished) {
    say_error(finished.error().message());
    return kExitFailed;
  }
  return findings.best == nullptr ? kExitDiffers : kExitOk;
}

}  // namespace vitrine::cli
