#include "ops/swiglu_reference.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "ops/wide.h"

namespace morex::ops::reference {

namespace {

// The definitions, not the library functions that the fast form calls.
at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return x / (1.0 + at::exp(-x));
    case Activation::kGelu:
      return 0.5 * x * (1.0 + at::erf(x / std::sqrt(2.0)));
    case Activation::kGeluTanh:
      return 0.5 * x * (1.0 + at::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x.pow(3))));
    case Activation::kRelu:
      return at::where(x > 0, x, at::zeros_like(x));
  }
  MOREX_ASSERT(false);
}

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up, Activation activation) {
  const at::ScalarType wide = wide_type(gate.scalar_type());
  return (activate(gate.to(wide), activation) * up.to(wide)).to(gate.scalar_type());
}

}  // namespace morex::ops::reference
