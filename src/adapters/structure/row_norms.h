// DoRA's row norms.
#pragma once
#include <ATen/core/Tensor.h>

#include "nn/slots.h"

namespace morex::adapters {

// Euclidean norms of the rows of W + s·Bᵀ·A, a block of rows at a time: no tensor of the weight's size is made.
// weight [d_out, d_in] of any dtype; up (B) [r, d_out], down (A) [r, d_in] -> [d_out] in the factors' dtype, at least
// the smallest normal number, so that a zero row divides to zero. No gradient.
at::Tensor row_norms(const nn::LinearWeight& weight, const at::Tensor& up, const at::Tensor& down, double scale);

// The norms of one site, formed again only when the factors or the weight are others than last time.
class RowNorms {
 public:
  const at::Tensor& of(const nn::LinearWeight& weight, const at::Tensor& up, const at::Tensor& down, double scale);

 private:
  at::Tensor weight_, up_, down_, norms_;
};

}  // namespace morex::adapters
