// How fast this machine multiplies matrices.
#pragma once
#include <c10/core/ScalarType.h>

namespace morex::train {

// Floating-point operations a second (multiply-add = 2) of the fastest of several large square products of this dtype
// (float32, bfloat16, float64) on the CPU, all threads of the run; about half a second.
double measure_peak_rate(c10::ScalarType dtype);

}  // namespace morex::train
