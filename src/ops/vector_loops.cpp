#include "ops/vector_loops.h"

#include "base/system.h"

namespace morex::ops {

VectorWidth vector_width() {
  static const VectorWidth width = [] {
    const CpuFeatures cpu = cpu_features();
    // What run_512 and run_256 are compiled for.
    if (cpu.avx512f && cpu.avx512_bw_dq_vl && cpu.fma) return VectorWidth::k512;
    return cpu.avx2 && cpu.fma ? VectorWidth::k256 : VectorWidth::k128;
  }();
  return width;
}

}  // namespace morex::ops
