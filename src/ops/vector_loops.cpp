#include "ops/vector_loops.h"

#include "base/system.h"

namespace morex::ops {

VectorWidth vector_width() {
  static const VectorWidth width = [] {
    const CpuFeatures cpu = cpu_features();
    if (cpu.avx512f) return VectorWidth::k512;
    return cpu.avx2 ? VectorWidth::k256 : VectorWidth::k128;
  }();
  return width;
}

}  // namespace morex::ops
