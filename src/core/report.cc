#include "core/report.h"

namespace vitrine {

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kExited:
      return "exited";
    case Verdict::kSignaled:
      return "signaled";
    case Verdict::kWallLimit:
      return "wall-limit";
    case Verdict::kCpuLimit:
      return "cpu-limit";
    case Verdict::kMemoryLimit:
      return "memory-limit";
    case Verdict::kOutputLimit:
      return "output-limit";
    case Verdict::kViolation:
      return "violation";
    case Verdict::kSetupError:
      return "setup-error";
    case Verdict::kInternalError:
      break;
  }
  return "internal-error";
}

}  // namespace vitrine
