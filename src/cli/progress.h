// How far a long reading has come, on a terminal that has nothing else to show.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace vitrine::cli {

class Progress {
 public:
  // `whole`: bytes in all; 0: unknown, nothing is shown. `beside_output`: standard output shows the
  // result meanwhile, so that a terminal there leaves no place for the bar.
  Progress(std::string what, std::uint64_t whole, bool beside_output);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Cheap enough for every line.
  void at(std::uint64_t bytes);
  // Makes room for a message.
  void clear();

  // "LOG  42 % of 1.5 GiB [########            ]"
  static std::string bar(const std::string& what, std::uint64_t done, std::uint64_t whole);

 private:
  std::string what_;
  std::uint64_t whole_;
  std::uint64_t next_look_ = 0;  // bytes
  Nanoseconds next_draw_;
  bool drawn_ = false;
};

}  // namespace vitrine::cli
