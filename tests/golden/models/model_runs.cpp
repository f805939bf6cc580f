#include "golden/models/model_runs.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <iostream>

#include "base/json.h"
#include "models/families.h"
#include "support/golden_tensors.h"

namespace morex::test {

nn::BatchContext context_for(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& positions,
                             bool right_padded) {
  nn::BatchContext ctx;
  ctx.batch = ids.size(0);
  ctx.length = ids.size(1);
  if (mask.defined()) ctx.token_mask = mask.to(ids.device()).ne(0);
  if (positions.defined()) ctx.positions = positions.to(ids.device());
  ctx.right_padded = right_padded;
  return ctx;
}

at::Tensor all_logits(const models::CausalLm& model, const at::Tensor& ids, const nn::BatchContext& ctx) {
  nn::RoutingReport report;
  const at::Tensor h = model.hidden(ids, ctx, report);
  return model.logits(h, ctx, report).view({ids.size(0), ids.size(1), -1});
}

at::Tensor all_logits(const models::CausalLm& model, const std::vector<int64_t>& ids) {
  const at::NoGradGuard no_grad;
  const at::Tensor row = at::tensor(ids, at::kLong).unsqueeze(0).to(model.device());
  return all_logits(model, row, context_for(row))[0];
}

at::Tensor mean_loss(const models::CausalLm& model, const at::Tensor& ids, const at::Tensor& labels,
                     const nn::BatchContext& ctx) {
  nn::RoutingReport report;
  const int64_t length = ids.size(1);
  const at::Tensor h = model.hidden(ids, ctx, report).view({ids.size(0), length, -1}).narrow(1, 0, length - 1);
  const at::Tensor targets = labels.to(ids.device()).narrow(1, 1, length - 1).reshape({-1});
  const at::Tensor sum = model.loss_sum(h.reshape({targets.size(0), -1}), targets, ctx, report);
  return sum / targets.ne(-100).sum().item<int64_t>();
}

std::vector<int64_t> greedy(const models::CausalLm& model, const std::vector<int64_t>& prompt, int64_t count,
                            bool with_cache, int64_t eos) {
  const at::NoGradGuard no_grad;
  nn::KvCache cache = model.make_cache(1, 4);  // small: it must grow
  std::vector<int64_t> all = prompt, fed = prompt, fresh;
  for (int64_t i = 0; i < count; ++i) {
    const at::Tensor row = at::tensor(with_cache ? fed : all, at::kLong).unsqueeze(0).to(model.device());
    const nn::BatchContext ctx = context_for(row);
    nn::RoutingReport report;
    const at::Tensor h = model.hidden(row, ctx, report, with_cache ? &cache : nullptr);
    const at::Tensor last = h.narrow(0, h.size(0) - 1, 1);
    const int64_t id = model.logits(last, ctx, report).argmax().item<int64_t>();
    all.push_back(id);
    fresh.push_back(id);
    fed = {id};
    if (id == eos) break;
  }
  return fresh;
}

std::vector<at::Tensor> make_trainable(models::CausalLm& model) {
  std::vector<at::Tensor> leaves;
  for (const models::NamedWeight& weight : model.weights()) {
    leaves.push_back(weight.slot->detach().clone().set_requires_grad(true));
    *weight.slot = leaves.back();
  }
  return leaves;
}

bool supported_family(const std::filesystem::path& folder) {
  const Json config = read_json_file(folder / "config.json");
  try {
    (void)models::family_of_model_type(config.at("model_type").get<std::string>(), "test");
    return true;
  } catch (const Error&) {
    std::cout << "SKIPPED unsupported: " << folder.filename().string() << std::endl;
    return false;
  }
}

}  // namespace morex::test
