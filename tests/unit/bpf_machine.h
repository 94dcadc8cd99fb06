// A machine for classic BPF as seccomp(2) restricts it: runs a compiled filter over a seccomp_data.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <span>
#include <stdexcept>

namespace vitrine::test {

class BpfMachine {
 public:
  explicit BpfMachine(std::span<const sock_filter> program) : program_(program) {}

  // The filter's verdict (SECCOMP_RET_*). Throws on an instruction seccomp would not accept.
  std::uint32_t run(const seccomp_data& data) {
    std::uint32_t accumulator = 0;
    for (std::size_t at = 0; at < program_.size(); ++at) {
      const sock_filter& step = program_[at];
      visited_.insert(at);
      switch (step.code) {
        case BPF_LD | BPF_W | BPF_ABS:
          if (step.k + 4 > sizeof data) throw std::runtime_error("load outside the data");
          std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + step.k, 4);
          break;
        case BPF_ALU | BPF_AND | BPF_K:
          accumulator &= step.k;
          break;
        case BPF_JMP | BPF_JA:
          at += step.k;
          break;
        case BPF_JMP | BPF_JEQ | BPF_K:
          at += jump(at, step, accumulator == step.k);
          break;
        case BPF_JMP | BPF_JGT | BPF_K:
          at += jump(at, step, accumulator > step.k);
          break;
        case BPF_JMP | BPF_JGE | BPF_K:
          at += jump(at, step, accumulator >= step.k);
          break;
        case BPF_RET | BPF_K:
          return step.k;
        default:
          throw std::runtime_error("an unexpected instruction");
      }
    }
    throw std::runtime_error("ran past the end");
  }

  const std::set<std::size_t>& visited() const { return visited_; }
  // Jumps that were both taken and not taken.
  bool saw_both_outcomes(std::size_t at) const {
    return taken_.contains(at) && passed_.contains(at);
  }

 private:
  std::size_t jump(std::size_t at, const sock_filter& step, bool take) {
    (take ? taken_ : passed_).insert(at);
    return take ? step.jt : step.jf;
  }

  std::span<const sock_filter> program_;
  std::set<std::size_t> visited_;
  std::set<std::size_t> taken_;
  std::set<std::size_t> passed_;
};

}  // namespace vitrine::test
