#include "ops/frozen_linear.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/dense_rows.h"
#include "ops/gemm.h"
#include "ops/int8_products.h"

namespace morex::ops {
namespace {

// Nobody else holds t, so that it may be added to.
bool is_own(const at::Tensor& t) {
  return t.use_count() == 1 && t.storage().use_count() == 1 && t.is_contiguous() && !t.requires_grad();
}

// dy·W of a map in eight bits, added to dx where that is defined.
void add_int8_product(at::Tensor& dx, const at::Tensor& dy, const Int8Blocks& blocks) {
  const bool first = !dx.defined();
  if (first) dx = at::empty({dy.size(0), blocks.values.size(1)}, dy.options());
  first ? set_int8_matmul_nn(dx, dy, blocks) : add_int8_matmul_nn(dx, dy, blocks);
}

// What is known of a map besides the tensors that are saved.
struct MapShape {
  bool transposed = false, has_term = false;
  TermShape term;
};

// Saved are x, then of each map value, scales, and its term's factors.
constexpr size_t kSavedOfMap = 4;

Tensors backward(const BackwardPass& pass, const std::vector<MapShape>& maps,
                 const std::shared_ptr<OwedProducts>& owed) {
  const size_t count = maps.size();
  Tensors result(1 + 4 * count);
  at::Tensor dx;  // [T, in]
  std::vector<Factors> products;
  for (size_t i = 0; i < count; ++i) {
    const at::Tensor& dy = pass.grads[i];
    if (!dy.defined()) continue;
    const at::Tensor* saved = &pass.saved[1 + kSavedOfMap * i];
    const bool transposed = maps[i].transposed;
    if (pass.wants(0) && saved[1].defined()) add_int8_product(dx, dy, {saved[0], saved[1]});
    if (pass.wants(0) && !saved[1].defined()) {
      const at::Tensor value = saved[0].detach().to(dy.scalar_type());
      products.push_back({dy, transposed ? value.t() : value});
    }
    if (pass.wants(1 + i)) {
      const at::Tensor& x = pass.saved[0];
      result[1 + i] = (transposed ? matmul_tn(x, dy) : matmul_tn(dy, x)).to(saved[0].scalar_type());
    }
    if (!maps[i].has_term) continue;
    const size_t first = 1 + count + 3 * i;
    const TermGradients d = term_gradients(pass, dy, saved[2], saved[3], maps[i].term, first);
    result[first] = d.z;
    result[first + 1] = d.b;
    result[first + 2] = d.bias;
  }
  if (owed) {
    for (Factors& product : products) owed->add(std::move(product));
  } else if (!products.empty()) {
    add_products(dx, products);
  }
  result[0] = dx;
  return result;
}

// x·Wᵀ and the term's product.
at::Tensor product(const at::Tensor& x, const MapWeight& weight, const Factors& term) {
  MOREX_ASSERT(x.dim() == 2 && weight.value.dim() == 2 && x.size(1) == weight.value.size(weight.transposed ? 0 : 1));
  at::Tensor y;
  std::vector<Factors> products;
  if (weight.scales.defined()) {
    MOREX_ASSERT(!weight.transposed);
    y = int8_matmul_nt(x, {weight.value, weight.scales});
  } else {
    const at::Tensor w = unrecorded(weight.value);
    products.push_back({unrecorded(x), weight.transposed ? w : w.t()});
  }
  if (term.a.defined()) products.push_back(term);
  if (!products.empty()) add_products(y, products);
  return y;
}

}  // namespace

at::Tensor shared_input(const at::Tensor& x) {
  AutogradNode node("shared_input", {x});
  node.keep_missing();
  node.passes(0, 0);
  node.takes_products(0);
  return node.record(unrecorded(x), {}, [](const BackwardPass& pass) -> Tensors {
    const at::Tensor& given = pass.grads[0];
    if (pass.owed.empty()) return {given};
    at::Tensor dx = !given.defined() || is_own(given) ? given : given.clone(at::MemoryFormat::Contiguous);
    add_products(dx, pass.owed);
    return {dx};
  });
}

std::vector<at::Tensor> frozen_linears(const at::Tensor& x, const std::vector<MapWeight>& weights,
                                       const std::vector<LowRankTerm>& terms) {
  MOREX_ASSERT(terms.empty() || terms.size() == weights.size());
  const size_t count = weights.size();
  Tensors inputs = {x}, saved = {at::Tensor()}, outputs;
  for (const MapWeight& weight : weights) inputs.push_back(weight.value);
  for (size_t i = 0; i < count; ++i) {
    const LowRankTerm term = terms.empty() ? LowRankTerm() : terms[i];
    inputs.insert(inputs.end(), {term.z, term.b, term.bias});
  }
  AutogradNode node("frozen_linear", inputs);
  node.keep_missing();
  std::vector<MapShape> maps;
  for (size_t i = 0; i < count; ++i) {
    const LowRankTerm term = terms.empty() ? LowRankTerm() : terms[i];
    const size_t first = 1 + count + 3 * i;
    const bool has_term = term.z.defined(), few = has_term && few_rows_read_leaf(x, node, first);
    const Factors factors = has_term && !few ? factors_of(term, x.scalar_type()) : Factors();
    outputs.push_back(product(x, weights[i], factors));  // [T, out]
    if (few) add_to_few_rows(outputs.back(), term);
    if (!node.records()) continue;
    const bool trains = node.wants(first + 1) || node.wants(first + 2);
    saved.insert(saved.end(), {weights[i].value, weights[i].scales, trains ? factors.a : at::Tensor(), factors.b});
    maps.push_back({weights[i].transposed, factors.b.defined(), factors.b.defined() ? TermShape(term) : TermShape()});
    if (node.wants(i + 1)) saved[0] = x;
  }
  return node.record(std::move(outputs), saved, [maps, owed = owed_products_of(x)](const BackwardPass& pass) {
    return backward(pass, maps, owed);
  });
}

at::Tensor frozen_linear(const at::Tensor& x, const MapWeight& weight) { return frozen_linears(x, {weight}).front(); }

at::Tensor frozen_linear(const at::Tensor& x, const at::Tensor& weight, bool transposed) {
  return frozen_linear(x, MapWeight{weight, transposed});
}

}  // namespace morex::ops
