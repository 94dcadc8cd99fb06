// The bytes of an input, taken one after the other; zeros behind its end.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vitrine::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool at_end() const { return at_ >= size_; }
  std::uint8_t byte() { return at_end() ? std::uint8_t{0} : data_[at_++]; }
  std::uint16_t word() {
    const unsigned low = byte();
    return static_cast<std::uint16_t>(low | (static_cast<unsigned>(byte()) << 8));
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

}  // namespace vitrine::fuzz
