#include "ops/frozen_linear.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/gemm.h"
#include "ops/int8_products.h"

namespace morex::ops {
namespace {

// Nobody else holds t, so that it may be added to.
bool is_own(const at::Tensor& t) {
  return t.use_count() == 1 && t.storage().use_count() == 1 && t.is_contiguous() && !t.requires_grad();
}

// dy·W of a map in eight bits, added to dx where that is defined.
void add_int8_product(at::Tensor& dx, const at::Tensor& dy, const MapWeight& weight) {
  const Int8Blocks blocks{weight.value, weight.scales};
  const bool first = !dx.defined();
  if (first) dx = at::empty({dy.size(0), weight.value.size(1)}, dy.options());
  first ? set_int8_matmul_nn(dx, dy, blocks) : add_int8_matmul_nn(dx, dy, blocks);
}

// Saved are x, then each weight's value and scales.
Tensors backward(const BackwardPass& pass, const std::vector<bool>& transposed) {
  const at::Tensor& x = pass.saved[0];
  const size_t count = transposed.size();
  Tensors result(count + 1);
  at::Tensor dx;  // [T, in]
  if (pass.wants(0) && pass.grads.size() > count && pass.grads[count].defined())
    dx = is_own(pass.grads[count]) ? pass.grads[count] : pass.grads[count].clone(at::MemoryFormat::Contiguous);
  std::vector<Factors> products;
  for (size_t i = 0; i < count; ++i) {
    const at::Tensor& dy = pass.grads[i];
    if (!dy.defined()) continue;
    const MapWeight weight{pass.saved[2 * i + 1], transposed[i], pass.saved[2 * i + 2]};
    if (pass.wants(0)) {
      if (weight.scales.defined()) {
        add_int8_product(dx, dy, weight);
      } else {
        const at::Tensor value = weight.value.detach().to(dy.scalar_type());
        products.push_back({dy, weight.transposed ? value.t() : value});
      }
    }
    if (pass.wants(i + 1))
      result[i + 1] = (transposed[i] ? matmul_tn(x, dy) : matmul_tn(dy, x)).to(weight.value.scalar_type());
  }
  products.insert(products.end(), pass.owed.begin(), pass.owed.end());
  if (pass.wants(0) && !products.empty()) add_products(dx, products);
  result[0] = dx;
  return result;
}

at::Tensor product(const at::Tensor& x, const MapWeight& weight) {
  MOREX_ASSERT(x.dim() == 2 && weight.value.dim() == 2 && x.size(1) == weight.value.size(weight.transposed ? 0 : 1));
  if (weight.scales.defined()) {
    MOREX_ASSERT(!weight.transposed);
    return int8_matmul_nt(x, {weight.value, weight.scales});
  }
  const at::Tensor w = weight.value.detach();
  return weight.transposed ? matmul_nn(x, w) : matmul_nt(x, w);
}

// The outputs are the products, and with `pass_on` x behind them.
Tensors products(const at::Tensor& x, const std::vector<MapWeight>& weights, bool pass_on) {
  Tensors inputs = {x}, saved = {at::Tensor()}, outputs;
  for (const MapWeight& weight : weights) inputs.push_back(weight.value);
  AutogradNode node("frozen_linear", inputs);
  node.keep_missing();
  std::vector<bool> transposed;
  for (size_t i = 0; i < weights.size(); ++i) {
    outputs.push_back(product(x, weights[i]));  // [T, out]
    saved.push_back(weights[i].value);
    saved.push_back(weights[i].scales);
    transposed.push_back(weights[i].transposed);
    if (node.wants(i + 1)) saved[0] = x;
  }
  if (pass_on) {
    node.passes(0, outputs.size());
    node.takes_products(outputs.size());
    outputs.push_back(x.detach());
  }
  return node.record(std::move(outputs), saved,
                     [transposed](const BackwardPass& pass) { return backward(pass, transposed); });
}

}  // namespace

SharedProducts frozen_linears(const at::Tensor& x, const std::vector<MapWeight>& weights) {
  SharedProducts shared;
  shared.y = products(x, weights, true);
  shared.x = shared.y.back();
  shared.y.pop_back();
  return shared;
}

at::Tensor frozen_linear(const at::Tensor& x, const MapWeight& weight) { return products(x, {weight}, false).front(); }

at::Tensor frozen_linear(const at::Tensor& x, const at::Tensor& weight, bool transposed) {
  return frozen_linear(x, MapWeight{weight, transposed});
}

}  // namespace morex::ops
