// Rotary position tables: inverse frequencies of every scaling type, cosines and sines of the positions of a call.
#pragma once
#include <ATen/core/Tensor.h>

#include "models/model_config.h"

namespace morex::models {

struct RopeFrequencies {
  at::Tensor inverse;             // [dim / 2], float32 or float64, on the CPU
  double attention_factor = 1.0;  // multiplies cosine and sine
};

// The frequencies for `dim` rotated dimensions and a call whose largest position is length - 1 (only dynamic asks).
// `dtype` float32 rounds as Hugging Face does, float64 is exact throughout.
// Source: Su et al. 2021 (default); linear: positions divided by factor; dynamic: NTK-aware base for the length;
// llama3: Llama 3.1's blend by wavelength; yarn: Peng et al. 2023, section 3.
RopeFrequencies rope_frequencies(const ModelConfig& config, int64_t dim, int64_t length, at::ScalarType dtype);

class RopeTables {
 public:
  RopeTables() = default;
  // For activations of `dtype`: tables are float64 for float64, else float32.
  RopeTables(const ModelConfig& config, int64_t dim, at::ScalarType dtype, at::Device device);

  struct CosSin {
    at::Tensor cos, sin;  // [..., dim], the second half repeats the first
  };
  // positions [...] int64. Dynamic scaling takes its base from the largest position of this call; nothing is remembered
  // between calls, so that keys in a cache keep the base of the call that made them.
  CosSin operator()(const at::Tensor& positions) const;

 private:
  ModelConfig config_;
  int64_t dim_ = 0;
  at::ScalarType dtype_ = at::kFloat;
  RopeFrequencies fixed_;
};

}  // namespace morex::models
