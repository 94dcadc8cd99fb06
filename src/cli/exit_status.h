// vitrine's own exit statuses (contract section 3).
#pragma once

namespace vitrine::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitDiffers = 1;  // found what it looks for: see the commands
inline constexpr int kExitFailed = 125;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

}  // namespace vitrine::cli
