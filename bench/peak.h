// What the machine gives at most, measured in the same process as the work that is held against it.
#pragma once
#include <ATen/core/Tensor.h>

namespace morex::bench {

// GFLOP a second (multiply-add = 2) of large products of the orientations of a training step, through ops/gemm.h: the
// fastest of a few hundred milliseconds.
double gemm_peak(at::ScalarType dtype);

// Bytes a second that all threads together read from memory, far beyond the caches: the fastest of several passes.
double read_bandwidth();

}  // namespace morex::bench
