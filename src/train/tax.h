// What an adapter costs over the bare base and over LoRA of equal size, measured on this machine, phase by phase.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "adapters/adapter_set.h"
#include "base/warnings.h"
#include "models/causal_lm.h"

namespace morex::train {

struct TaxOptions {
  int64_t rows = 4, length = 128;  // of a micro-batch; decoding runs one sequence behind `length` positions
  int64_t rounds = 5;              // in each of them every variant runs once, in turns
};

struct Spread {
  double median = 0, low = 0, high = 0;
};
// Lowest, highest, and the middle value (the mean of the two middle ones); of at least one value.
Spread spread_of(std::vector<double> values);

struct VariantTax {
  std::string name;        // "base", "lora", or the adapter's method
  Spread ms;               // decoding: of one token
  Spread over_base;        // of the rounds' ratios to the base
  Spread over_lora;        // to LoRA of equal size
  double flops = 0;        // of the phase's work, multiply-add = 2; backward passes counted as computed, see below
  int64_t peak_bytes = 0;  // of tensors beside weights, gradients and moments
};

struct PhaseTax {
  std::string phase;  // "train", "prefill", "decode"
  int64_t tokens = 0;
  std::vector<VariantTax> variants;  // base, lora, the adapter
};

struct Tax {
  std::vector<PhaseTax> phases;
  int64_t lora_rank = 0, lora_parameters = 0, parameters = 0;
  int64_t adapter_bytes = 0, training_bytes = 0;  // values; and with gradients and AdamW's moments
};

// Training: forward, backward and the optimiser's update, every position supervised. The base's is that of an adapter
// of rank 1, because a frozen model alone has no backward pass. FLOPs: base 2 x forward (forward, gradient of the
// input), an adapter 3 x (the gradient of its weights, too); recomputed small middles are not counted. `set` is
// attached when this returns. `poll` hears of each of the tax_rounds().
Tax measure_tax(models::CausalLm& model, adapters::AdapterSet& set, const std::string& name, const TaxOptions& options,
                Warnings& warnings, const std::function<void(int64_t done)>& poll);
int64_t tax_rounds(const TaxOptions& options);

}  // namespace morex::train
