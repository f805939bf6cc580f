#include "adapters/constant_update.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>

namespace morex::adapters {

std::optional<LowRankFactors> constant_update(const BankAdapter& bank, size_t index, std::optional<int64_t> task) {
  const at::NoGradGuard guard;
  const BankSite& site = bank.sites()[index];
  const SiteTensors tensors = bank.tensors(index);
  if (!site.structure->linear_for_fixed_gates() || site.structure->scales_output() || tensors.up_bias.defined())
    return {};
  if (site.prior->clusters() > 0 || site.router->whole_sequences() || !bank.reads_no_token(index)) return {};
  nn::BatchContext ctx;
  if (site.router->tasks() != nullptr) {
    if (!task) return {};
    ctx.per_sequence["task_ids"] = at::full({1}, *task, at::kLong);
  }
  const at::Tensor middle = bank.middle_matrix(index, ctx);  // [R, R']
  // update = (middle·up)ᵀ·down: the narrower side of the middle is the rank.
  if (middle.size(0) <= middle.size(1)) return LowRankFactors{tensors.down.clone(), at::mm(middle, tensors.up).t()};
  return LowRankFactors{at::mm(middle.t(), tensors.down), tensors.up.t().clone()};
}

}  // namespace morex::adapters
