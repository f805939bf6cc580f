// What a step knows, passed to every slot by const reference and never stored: the same under packing, recomputation
// and decoding.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nn/fixed_values.h"

namespace morex::nn {

enum class Phase { kTrain, kPrefill, kDecode };

// Shapes: B sequences of L positions; the model works on T tokens, row-major: all B·L, or those at `places`.
struct BatchContext {
  int64_t batch = 0;   // B
  int64_t length = 0;  // L, of this call (1 when decoding)
  Phase phase = Phase::kPrefill;
  uint64_t seed = 0;  // of the run: noise and dropout are functions of (seed, site, level, step, micro_step, token)
  int64_t step = 0;
  int64_t micro_step = 0;
  int64_t total_steps = 0;  // of the run, for what changes over it; 0: unknown

  at::Tensor places;         // [T] int64, ascending: the tokens of the grid that are there; undefined: all of them
  at::Tensor positions;      // [B, L] int64; undefined: 0 … L-1 (plus the cache's length)
  at::Tensor token_mask;     // [B, L] bool, true = real token; undefined: all real. Routing statistics and left padding
  bool right_padded = true;  // token_mask only has padding at the right end: causal attention needs no mask for it
  // [B, L] int64, packed documents: attention stays inside equal numbers, and sees ops::kSharedSegment from all of
  // them; undefined: one each.
  at::Tensor segments;

  std::map<std::string, at::Tensor> per_sequence;  // [B, …] by name: "cluster_scores", "task_ids", "sample_types"
  std::map<std::string, at::Tensor> given_noise;   // by "MODULE.LEVEL": replaces the drawn noise (tests)

  // Set where no parameter changes while it lives and nothing is differentiated; null: values of parameters are formed
  // at every call.
  std::shared_ptr<FixedValues> fixed;
  // make()'s tensors, formed once where that may be (FixedValues::of).
  template <typename Make>
  std::vector<at::Tensor> fixed_values(const void* owner, int64_t number, const Make& make) const {
    return fixed ? fixed->of(owner, number, make) : make();
  }
  // The leaf in `type` where that cast is formed once; else the leaf, for the operation that reads it to cast.
  at::Tensor fixed_cast(const at::Tensor& leaf, at::ScalarType type) const {
    return fixed && leaf.scalar_type() != type ? fixed->cast(leaf, type) : leaf;
  }

  bool training() const { return phase == Phase::kTrain; }
  int64_t tokens() const { return places.defined() ? places.numel() : batch * length; }
};

}  // namespace morex::nn
