#include "ops/gemm.h"

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "base/error.h"
#include "base/system.h"
#include "ops/blocked_product.h"
#include "ops/dense_rows.h"
#include "ops/few_rows.h"
#include "ops/skinny_products.h"
#include "ops/time_recorder.h"

#ifdef MOREX_HAS_MKLDNN_MATMUL
namespace at::native {
// Exported by LibTorch, declared in no header of it: out = beta·out + alpha·a·b by oneDNN.
void mkldnn_matmul(const at::Tensor& a, const at::Tensor& b, const at::Tensor& out, float beta, float alpha);
}  // namespace at::native
#endif

namespace morex::ops {
namespace {

// A oneDNN call costs 17 µs more than an ATen one and gains about 5 ps per floating-point operation on one thread.
constexpr int64_t kMinimalOnednnWork = int64_t{1} << 21;  // multiply-adds
// Below, a product is bound by reading the weight and both libraries are alike.
constexpr int64_t kMinimalOnednnRows = 8;

bool goes_to_onednn(const at::Tensor& a, const at::Tensor& b) {
  const int64_t m = a.size(0), k = a.size(1), n = b.size(1);
  return a.scalar_type() == at::kFloat && a.is_cpu() && onednn_products() && m >= kMinimalOnednnRows &&
         n >= kMinimalOnednnRows && m * n * k >= kMinimalOnednnWork;
}

// One of the two strides must be 1 and rows must not overlap: expanded and oddly strided operands are copied.
at::Tensor dense_matrix(const at::Tensor& t) { return has_dense_rows(t) || has_dense_columns(t) ? t : t.contiguous(); }

at::Tensor product(const char* name, const at::Tensor& a, const at::Tensor& b);

// out = a·b, or out += a·b; out of a's type, or another that takes the rounded product where nothing better is.
void product_into(const char* name, const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  const at::NoGradGuard no_grad;
  if (a.numel() == 0 || b.numel() == 0) {  // an empty sum is zero
    if (!accumulate) out.zero_();
    return;
  }
  const bool few = few_rows_apply(out, a, b);
  if (!few && b.scalar_type() != a.scalar_type()) return product_into(name, out, a, b.to(a.scalar_type()), accumulate);
  std::vector<Factors> one;
  if (!few) one.push_back({a, b});
  const bool blocked = !few && blocked_products_apply(out, one);
  const bool skinny = !few && !blocked && skinny_apply(out, a, b, accumulate);
  if (!skinny && out.scalar_type() != a.scalar_type()) {
    const at::Tensor narrow = product(name, a, b);
    accumulate ? out.add_(narrow) : out.copy_(narrow);
    return;
  }
  const TimedScope timed(name, a.size(0), b.size(1), a.size(1), a.scalar_type());
  if (few) return few_rows_product(out, a, b, accumulate);
  if (blocked) return blocked_products(out, one, accumulate);
  if (skinny) return skinny_product(out, a, b, accumulate);
#ifdef MOREX_HAS_MKLDNN_MATMUL
  if (goes_to_onednn(a, b)) {
    at::native::mkldnn_matmul(dense_matrix(a), dense_matrix(b), out, accumulate ? 1.0f : 0.0f, 1.0f);
    return;
  }
#endif
  at::Tensor target = out;
  if (accumulate) {
    at::addmm_out(target, target, a, b);
  } else {
    at::mm_out(target, a, b);
  }
}

at::Tensor product(const char* name, const at::Tensor& a, const at::Tensor& b) {
  MOREX_ASSERT(a.dim() == 2 && b.dim() == 2 && a.size(1) == b.size(0));
  const at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options().requires_grad(false));
  product_into(name, out, a, b, false);
  return out;
}

}  // namespace

bool onednn_products() {
#ifdef MOREX_HAS_MKLDNN_MATMUL
  static const bool wins = cpu_features().is_amd && at::globalContext().userEnabledMkldnn();
  return wins;
#else
  return false;
#endif
}

at::Tensor matmul_nt(const at::Tensor& x, const at::Tensor& w) { return product("matmul_nt", x, unrecorded(w).t()); }

at::Tensor matmul_nn(const at::Tensor& x, const at::Tensor& w) { return product("matmul_nn", x, w); }

at::Tensor matmul_tn(const at::Tensor& a, const at::Tensor& b) { return matmul_tn(a, b, a.scalar_type()); }

at::Tensor matmul_tn(const at::Tensor& a, const at::Tensor& b, at::ScalarType type) {
  MOREX_ASSERT(a.size(0) == b.size(0) && a.scalar_type() == b.scalar_type());
  const at::Tensor out = at::empty({a.size(1), b.size(1)}, a.options().dtype(type).requires_grad(false));
  product_into("matmul_tn", out, a.detach().t(), b, false);
  return out;
}

void set_matmul_nt(const at::Tensor& y, const at::Tensor& x, const at::Tensor& w) {
  MOREX_ASSERT(y.size(0) == x.size(0) && y.size(1) == w.size(0) && x.size(1) == w.size(1));
  product_into("matmul_nt", y, x, unrecorded(w).t(), false);
}

void set_matmul_nn(const at::Tensor& y, const at::Tensor& x, const at::Tensor& w) {
  MOREX_ASSERT(y.size(0) == x.size(0) && y.size(1) == w.size(1) && x.size(1) == w.size(0));
  product_into("matmul_nn", y, x, w, false);
}

void add_products(at::Tensor& y, const std::vector<Factors>& products) {
  MOREX_ASSERT(!products.empty());
  const bool accumulate = y.defined();
  const at::Tensor& first = products.front().a;
  if (!accumulate) y = at::empty({first.size(0), products.front().b.size(1)}, first.options().requires_grad(false));
  if (products.size() > 1 && blocked_products_apply(y, products)) {
    int64_t depth = 0;
    for (const Factors& product : products) depth += product.a.size(1);
    const TimedScope timed("add_products", y.size(0), y.size(1), depth, y.scalar_type());
    return blocked_products(y, products, accumulate);
  }
  for (size_t i = 0; i < products.size(); ++i) {
    const bool add = accumulate || i > 0;
    const char* name = add ? "add_matmul_nn" : has_dense_rows(products[i].b) ? "matmul_nn" : "matmul_nt";
    product_into(name, y, products[i].a, products[i].b, add);
  }
}

void add_matmul_nn(const at::Tensor& y, const at::Tensor& z, const at::Tensor& b) {
  MOREX_ASSERT(y.size(0) == z.size(0) && y.size(1) == b.size(1) && z.size(1) == b.size(0));
  product_into("add_matmul_nn", y, z, b, true);
}

void add_matmul_tn(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b) {
  MOREX_ASSERT(y.size(0) == a.size(1) && y.size(1) == b.size(1) && a.size(0) == b.size(0));
  product_into("add_matmul_tn", y, a.detach().t(), b, true);
}

}  // namespace morex::ops
