// The first step of the algebra, [H | U] = X·[A ; G]ᵀ: what the experts see of the input, and what the routers see.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "nn/batch_context.h"

namespace morex::adapters {

struct GroupInput {
  const at::Tensor& x;                 // [T, d]
  const at::Tensor& leaf;              // [A ; G] of the group, [R + Q, d], float32 (float64)
  int64_t down_rows = 0;               // R
  double dropout = 0.0, jitter = 0.0;  // of the experts' and of the routers' input, in training
  const std::string& module;           // names the random streams
};

class GroupProducts {
 public:
  // The input must outlive this. Dropout and jitter are functions of (seed, module, step, micro-step, token, column).
  GroupProducts(const GroupInput& input, const nn::BatchContext& ctx);

  // Both at once, in one product where both see the same operand in one dtype. h [T, R] in x's dtype; u [T, Q] in the
  // leaf's, undefined without router rows. Grad: x, leaf.
  struct Both {
    at::Tensor h, u;
  };
  Both both() const;
  at::Tensor routed() const;                                 // u alone
  at::Tensor down(int64_t first, int64_t rows) const;        // h of some rows
  const at::Tensor& experts_input() const { return kept_; }  // x after dropout

 private:
  GroupInput input_;
  const nn::BatchContext& ctx_;
  at::Tensor kept_;
};

}  // namespace morex::adapters
