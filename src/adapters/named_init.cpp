#include "adapters/named_init.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <span>

#include "base/random.h"

namespace morex::adapters {
namespace {

at::Tensor random_values(const RandomKey& key, const Init& init, at::IntArrayRef shape) {
  const at::Tensor values = at::empty(shape, at::kDouble);
  const std::span<double> out(values.data_ptr<double>(), static_cast<size_t>(values.numel()));
  if (init.kind == Init::Kind::kUniform) {
    fill_uniform(key, 0, out);
    return values * (init.b - init.a) + init.a;
  }
  fill_normal(key, 0, out);
  return values * init.b + init.a;
}

}  // namespace

void fill_initial(const nn::ParameterStore& store, const std::vector<NamedInit>& tensors, uint64_t seed) {
  const at::NoGradGuard guard;
  for (const NamedInit& named : tensors) {
    const at::Tensor target = store.named_value(named.view);
    if (named.init.pattern) {
      target.copy_(named.init.pattern());
    } else if (named.init.kind == Init::Kind::kConstant) {
      target.fill_(named.init.a);
    } else {
      target.copy_(random_values({seed, stream_id(named.view.name), 0}, named.init, target.sizes()));
    }
  }
}

at::Tensor token_mask(const nn::BatchContext& ctx, at::ScalarType dtype) {
  if (!ctx.token_mask.defined()) return {};
  const int64_t columns = ctx.token_mask.size(1);
  return ctx.token_mask.narrow(1, columns - ctx.length, ctx.length).reshape({-1}).to(dtype);
}

}  // namespace morex::adapters
