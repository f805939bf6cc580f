#include "ops/top_k.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/dense_rows.h"
#include "ops/top_k_reference.h"

namespace morex::ops {
namespace {

// As in at::sort.
template <typename T>
bool larger(T a, T b) {
  return a > b || (std::isnan(a) && !std::isnan(b));
}

// By insertion: pools are small.
template <typename T>
void largest(const T* values, int64_t experts, int64_t k, int64_t* ids) {
  for (int64_t e = 0; e < experts; ++e) {
    int64_t place = std::min(e, k);
    while (place > 0 && larger(values[e], values[ids[place - 1]])) {
      if (place < k) ids[place] = ids[place - 1];
      --place;
    }
    if (place < k) ids[place] = e;
  }
}

struct Chosen {
  at::Tensor ids, values, sums;  // [n, k] twice, [n] with shares
};

Chosen choose(const at::Tensor& given, int64_t k, bool shares) {
  const at::Tensor values = with_dense_rows(unrecorded(given));
  const int64_t n = values.size(0), experts = values.size(1), stride = values.stride(0);
  Chosen out{at::empty({n, k}, values.options().dtype(at::kLong)), at::empty({n, k}, values.options()), {}};
  if (shares) out.sums = at::empty({n}, values.options());
  int64_t* ids = out.ids.mutable_data_ptr<int64_t>();
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "top_k", [&] {
    const scalar_t* all = values.const_data_ptr<scalar_t>();
    scalar_t* taken = out.values.mutable_data_ptr<scalar_t>();
    scalar_t* sums = shares ? out.sums.mutable_data_ptr<scalar_t>() : nullptr;
    for_chunks(n, rows_per_chunk(experts), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const scalar_t* v = all + row * stride;
        int64_t* id = ids + row * k;
        scalar_t* w = taken + row * k;
        largest(v, experts, k, id);
        for (int64_t i = 0; i < k; ++i) w[i] = v[id[i]];
        if (!shares) continue;
        scalar_t sum = 0;
        for (int64_t i = 0; i < k; ++i) sum += w[i];
        for (int64_t i = 0; i < k; ++i) w[i] /= sum;
        sums[row] = sum;
      }
    });
  });
  return out;
}

// With w = v/Σv: dv = (dw - Σ dw·w)/Σv on the chosen, 0 elsewhere.
at::Tensor backward(const at::Tensor& dtaken_in, const Chosen& chosen, int64_t experts) {
  const at::Tensor dtaken = dtaken_in.detach().contiguous();
  const int64_t n = chosen.ids.size(0), k = chosen.ids.size(1);
  const at::Tensor dvalues = at::zeros({n, experts}, chosen.values.options().requires_grad(false));
  const int64_t* ids = chosen.ids.const_data_ptr<int64_t>();
  const bool shares = chosen.sums.defined();
  AT_DISPATCH_FLOATING_TYPES(dvalues.scalar_type(), "top_k_backward", [&] {
    const scalar_t *dw = dtaken.const_data_ptr<scalar_t>(), *w = chosen.values.const_data_ptr<scalar_t>();
    const scalar_t* sums = shares ? chosen.sums.const_data_ptr<scalar_t>() : nullptr;
    scalar_t* dv = dvalues.mutable_data_ptr<scalar_t>();
    for_chunks(n, rows_per_chunk(experts), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const scalar_t *g = dw + row * k, *share = w + row * k;
        scalar_t common = 0, factor = 1;
        if (shares) {
          for (int64_t i = 0; i < k; ++i) common += g[i] * share[i];
          factor = scalar_t(1) / sums[row];
        }
        for (int64_t i = 0; i < k; ++i) dv[row * experts + ids[row * k + i]] = (g[i] - common) * factor;
      }
    });
  });
  return dvalues;
}

}  // namespace

TopK top_k(const at::Tensor& values, int64_t k, bool shares) {
  MOREX_ASSERT(values.dim() == 2 && k >= 1 && k <= values.size(1));
  if (!values.is_cpu()) return reference::top_k(values, k, shares);
  AutogradNode node("top_k", {values});
  const Chosen chosen = choose(values, k, shares);
  const at::Tensor taken =
      node.record(chosen.values, {chosen.ids, chosen.values, chosen.sums},
                  [experts = values.size(1)](const BackwardPass& pass) -> Tensors {
                    return {backward(pass.grads[0], {pass.saved[0], pass.saved[1].detach(), pass.saved[2]}, experts)};
                  });
  return {chosen.ids, taken};
}

}  // namespace morex::ops
