#include "ops/frozen_linear.h"

#include <ATen/core/Tensor.h>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/gemm.h"

namespace morex::ops {
namespace {

// Nobody else holds t, so that it may be added to.
bool is_own(const at::Tensor& t) {
  return t.use_count() == 1 && t.storage().use_count() == 1 && t.is_contiguous() && !t.requires_grad();
}

Tensors backward(const BackwardPass& pass, at::ScalarType type, const std::vector<bool>& transposed) {
  const at::Tensor& x = pass.saved[0];
  const size_t count = transposed.size();
  Tensors result(count + 1);
  at::Tensor dx;  // [T, in]
  if (pass.wants(0) && pass.grads.size() > count && pass.grads[count].defined())
    dx = is_own(pass.grads[count]) ? pass.grads[count] : pass.grads[count].clone(at::MemoryFormat::Contiguous);
  for (size_t i = 0; i < count; ++i) {
    const at::Tensor &weight = pass.saved[i + 1], &dy = pass.grads[i];
    if (!dy.defined()) continue;
    if (pass.wants(0)) {
      const at::Tensor w = transposed[i] ? weight.detach().to(type).t() : weight.detach().to(type);  // [out, in]
      dx.defined() ? add_matmul_nn(dx, dy, w) : void(dx = matmul_nn(dy, w));
    }
    if (pass.wants(i + 1))
      result[i + 1] = (transposed[i] ? matmul_tn(x, dy) : matmul_tn(dy, x)).to(weight.scalar_type());
  }
  result[0] = dx;
  return result;
}

// The outputs are the products, and with `pass_on` x behind them.
Tensors products(const at::Tensor& x, const std::vector<MapWeight>& weights, bool pass_on) {
  Tensors inputs = {x}, saved = {at::Tensor()}, outputs;
  for (const MapWeight& weight : weights) inputs.push_back(weight.value);
  AutogradNode node("frozen_linear", inputs);
  node.keep_missing();
  const at::ScalarType type = x.scalar_type();
  std::vector<bool> transposed;
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto& [value, is_transposed] = weights[i];
    MOREX_ASSERT(x.dim() == 2 && value.dim() == 2 && x.size(1) == value.size(is_transposed ? 0 : 1));
    const at::Tensor w = value.detach();
    outputs.push_back(is_transposed ? matmul_nn(x, w) : matmul_nt(x, w));  // [T, out]
    saved.push_back(value);
    transposed.push_back(is_transposed);
    if (node.wants(i + 1)) saved[0] = x;
  }
  if (pass_on) outputs.push_back(x.detach());
  return node.record(std::move(outputs), saved,
                     [type, transposed](const BackwardPass& pass) { return backward(pass, type, transposed); });
}

}  // namespace

SharedProducts frozen_linears(const at::Tensor& x, const std::vector<MapWeight>& weights) {
  SharedProducts shared;
  shared.y = products(x, weights, true);
  shared.x = shared.y.back();
  shared.y.pop_back();
  return shared;
}

at::Tensor frozen_linear(const at::Tensor& x, const at::Tensor& weight, bool transposed) {
  return products(x, {{weight, transposed}}, false).front();
}

}  // namespace morex::ops
