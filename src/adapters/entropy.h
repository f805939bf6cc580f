// Normalised entropies of routing distributions (DynMoLE, arXiv 2504.00661): 0 for one certain expert, 1 for uniform.
#pragma once
#include <ATen/core/Tensor.h>

#include "base/json.h"

namespace morex::adapters {

struct EntropyForm {
  enum class Type { kTsallis, kRenyi };
  Type type = Type::kTsallis;
  double index = 1.1;  // q; 1 is Shannon's entropy
  double eps = 1e-5;   // added to every probability
  bool operator==(const EntropyForm&) const = default;
};

// Reads entropy_type ("tsallis" or "renyi"), entropy_index and entropy_eps. Throws Error(kConfig).
EntropyForm read_entropy_form(const JsonReader& options);

// pi [n, E] -> [n], with p = pi + eps:
//   Tsallis [(1 - Σ p^q)/(q - 1)] / [(1 - E^(1-q))/(q - 1)],  Rényi ln Σ p^q / (1 - q) / ln E,  q = 1: -Σ p ln p / ln
//   E.
// One expert: 0. Grad: pi.
at::Tensor normalised_entropy(const at::Tensor& pi, const EntropyForm& form);

}  // namespace morex::adapters
