// Where and in which numbers a run computes.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "base/warnings.h"
#include "train/recipe.h"

namespace morex::train {

std::string dtype_name(at::ScalarType dtype);  // "bfloat16", as recipes spell it

struct Runtime {
  at::ScalarType dtype = at::kFloat;  // of the base
  at::Device device = at::kCPU;
  int64_t threads = 1;

  // Of trainable tensors and the optimiser: float64 for a float64 base, else float32.
  at::ScalarType parameter_dtype() const { return dtype == at::kDouble ? at::kDouble : at::kFloat; }
  std::string dtype_name() const;
};

// Why CUDA cannot be used, as one clause; empty where it can.
std::string why_no_cuda();

// Turns `auto` into what this machine does well (CUDA where the build has it and a device is visible), sets the number
// of threads, and on CUDA asks LibTorch for deterministic forms. bfloat16 on a processor without bfloat16 products is a
// warning. Throws Error(kConfig) for a device that is not there, and for a profile of one that is no CPU.
Runtime resolve_runtime(const Recipe& recipe, Warnings& warnings);

}  // namespace morex::train
