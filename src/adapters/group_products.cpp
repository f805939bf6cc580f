#include "adapters/group_products.h"

#include <ATen/core/Tensor.h>

#include "base/random.h"
#include "ops/dropout.h"
#include "ops/jittered_down.h"
#include "ops/low_rank.h"

namespace morex::adapters {
namespace {

RandomKey key_of(const char* purpose, const std::string& module, const nn::BatchContext& ctx) {
  return {ctx.seed, stream_id(fmt::format("{} {} {}", purpose, module, ctx.micro_step)),
          static_cast<uint64_t>(ctx.step)};
}

}  // namespace

GroupProducts::GroupProducts(const GroupInput& input, const nn::BatchContext& ctx) : input_(input), ctx_(ctx) {
  if (!ctx.training()) input_.dropout = input_.jitter = 0.0;
  // DEVIATION: one dropout mask for all experts and targets that read the same input; PEFT draws one per target, the
  // official mixtures one per expert. The expectations agree.
  kept_ = input_.dropout == 0.0 ? input.x : ops::dropout(input.x, input_.dropout, key_of("dropout", input.module, ctx));
}

GroupProducts::Both GroupProducts::both() const {
  const int64_t rows = input_.leaf.size(0), routes = rows - input_.down_rows;
  if (routes == 0) return {down(0, rows), {}};
  const bool casts = input_.x.scalar_type() != input_.leaf.scalar_type();
  if (input_.jitter != 0.0 || (casts && ctx_.fixed)) return {down(0, input_.down_rows), routed()};
  if (input_.dropout != 0.0 || casts) {
    const auto [h, u] = ops::down_both(kept_, input_.x, input_.leaf, input_.down_rows);
    return {h, u};
  }
  const std::vector<at::Tensor> parts =
      ops::down(input_.x, input_.leaf).split_with_sizes({input_.down_rows, routes}, 1);
  return {parts[0], parts[1]};
}

at::Tensor GroupProducts::routed() const {
  const int64_t routes = input_.leaf.size(0) - input_.down_rows;
  if (routes == 0) return {};
  const at::Tensor g = input_.leaf.narrow(0, input_.down_rows, routes);
  if (input_.jitter == 0.0) return ops::down_fp32(input_.x, g);
  // DEVIATION: one jitter for all routers that read the same input. The expectations agree.
  return ops::jittered_down(input_.x, g, input_.jitter, key_of("jitter", input_.module, ctx_));
}

at::Tensor GroupProducts::down(int64_t first, int64_t rows) const {
  const at::Tensor leaf = ctx_.fixed_cast(input_.leaf, input_.x.scalar_type());
  return ops::down(kept_, rows == leaf.size(0) ? leaf : leaf.narrow(0, first, rows));
}

}  // namespace morex::adapters
