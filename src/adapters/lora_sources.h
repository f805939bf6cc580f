// Existing LoRA adapters as the experts of a mixture (upcycling): `experts: {init_from: [folder, …]}`.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "adapters/adapter_set.h"
#include "base/json.h"
#include "base/warnings.h"

namespace morex::adapters {

// Whether these experts, as a recipe gives them, start from LoRA adapters.
bool starts_from_loras(const Json& experts);

// The method part with what the first LoRA says where the recipe is silent: r, lora_alpha, use_rslora, rank_pattern,
// alpha_pattern, the targets, and as many experts as there are folders. Throws Error(kConfig): num_experts is another
// number, init_from is no list of folders; Error(kFormat): no LoRA in the first.
Json with_lora_defaults(const Json& method);

class LoraSources {
 public:
  // Opens every folder. Throws Error(kFormat): no plain LoRA in PEFT's layout, one of another base.
  LoraSources(const std::vector<std::string>& folders, const BaseIdentity& base, Warnings& warnings);
  ~LoraSources();

  // The pair of each LoRA at `module`, to be one expert there. Throws Error(kConfig) where a LoRA does not adapt the
  // module or has another rank; Error(kFormat) for another width.
  void claim(const std::string& module, int64_t rank, int64_t d_in, int64_t d_out);
  // Throws Error(kConfig) for a pair that no expert claimed.
  void check_all_claimed() const;

  // float64. A [r, d_in] and B [d_out, r] times the LoRA's own scale over `scale`, the mixture's, so that the expert
  // alone with weight 1 is the LoRA. Throws Error(kFormat) for numbers that are not finite.
  at::Tensor a(int64_t lora, const std::string& module) const;
  at::Tensor b(int64_t lora, const std::string& module, double scale) const;

 private:
  struct Source;
  std::vector<std::unique_ptr<Source>> sources_;
};

}  // namespace morex::adapters
