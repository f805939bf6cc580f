// The check that a loaded weight holds numbers.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace morex::models {

// Throws Error(kFormat) "[file] name must be finite, got nan at element 3". `values`: contiguous, on the CPU, float32,
// float64, float16 or bfloat16. One pass over the exponents, in parallel.
void check_finite(const at::Tensor& values, const std::string& file, const std::string& name);

}  // namespace morex::models
