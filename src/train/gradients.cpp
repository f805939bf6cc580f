#include "train/gradients.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>

#include <cmath>

#include "base/strings.h"
#include "ops/flat_adamw.h"
#include "ops/time_recorder.h"
#include "train/device_batch.h"

namespace morex::train {
namespace {

// What first went wrong in a forward pass whose loss is not finite: a parameter, or a layer's output.
std::string first_bad_tensor(const models::CausalLm& model, const nn::ParameterStore& store, const DeviceBatch& batch) {
  for (size_t i = 0; i < store.leaves().size(); ++i)
    if (!at::isfinite(store.leaf(static_cast<int64_t>(i))).all().item<bool>())
      return fmt::format("parameter '{}'", store.leaves()[i].name);
  const at::NoGradGuard no_grad;
  nn::RoutingReport report;
  std::vector<at::Tensor> hidden;
  model.hidden(batch.ids, batch.ctx, report, nullptr, &hidden);
  for (size_t i = 0; i < hidden.size(); ++i) {
    const at::Tensor real =
        batch.ctx.token_mask.defined() ? hidden[i].index({batch.ctx.token_mask.reshape({-1})}) : hidden[i];
    if (!at::isfinite(real).all().item<bool>())
      return i == 0 ? "the embedding's output" : fmt::format("the output of layer {}", i - 1);
  }
  return "the logits";
}

}  // namespace

StepSums accumulate_gradients(const models::CausalLm& model, Trainable& trainable,
                              const std::vector<data::Batch>& window, uint64_t seed, int64_t step, int64_t total_steps,
                              nn::RoutingTally* tally) {
  StepSums sums;
  for (const data::Batch& batch : window) {
    sums.supervised += batch.supervised();
    sums.tokens += batch.tokens();
  }
  MOREX_ASSERT(sums.supervised > 0);  // load_dataset leaves out rows without targets
  trainable.parameters().zero_grads();
  const bool keep_padding = trainable.sequence_needs().padding;
  for (size_t micro = 0; micro < window.size(); ++micro) {
    const ops::TimedScope pass("micro-batch", ops::TimedKind::kPhase);
    DeviceBatch batch = put_on_device(window[micro], model, keep_padding);
    batch.ctx.seed = seed;
    batch.ctx.step = step;
    batch.ctx.total_steps = total_steps;
    batch.ctx.micro_step = static_cast<int64_t>(micro);
    nn::RoutingReport report;
    report.tally = tally;
    const at::Tensor h = model.hidden(batch.ids, batch.ctx, report).index_select(0, batch.rows);  // [N, D]
    const at::Tensor nll = model.loss_sum(h, batch.targets, batch.ctx, report);                   // []
    const at::Tensor auxiliary = trainable.auxiliary_loss(report);                                // [] or undefined
    if (tally != nullptr) tally->flush();
    at::Tensor total = nll / static_cast<double>(sums.supervised);
    const double share = static_cast<double>(window[micro].tokens()) / static_cast<double>(sums.tokens);
    if (auxiliary.defined()) total = total + auxiliary * share;
    const double value = total.item<double>();
    MOREX_CHECK(std::isfinite(value), ErrorKind::kNumeric,
                "[step {}] the loss must be finite, got {} in micro-batch {}; first bad: {}. Hint: a smaller "
                "learning_rate, a max_grad_norm, or dtype float32.",
                step + 1, value, micro + 1, first_bad_tensor(model, trainable.parameters(), batch));
    {
      const ops::TimedScope timed("backward", ops::TimedKind::kPhase, /*backward=*/true);
      total.backward();
    }
    sums.nll += nll.item<double>();
    if (auxiliary.defined()) sums.auxiliary += auxiliary.item<double>() * share;
  }
  return sums;
}

double checked_clip(nn::ParameterStore& store, double max_norm, int64_t step) {
  store.zero_frozen_grads(step);
  const double norm = ops::clip_grad_norm(store.grads(), max_norm);
  if (std::isfinite(norm)) return norm;
  std::string name = "none alone; their norm overflows";
  for (const nn::Leaf& leaf : store.leaves())
    if (ops::has_non_finite(store.grads().narrow(0, leaf.offset, leaf.size))) {
      name = fmt::format("'{}'", leaf.name);
      break;
    }
  fail(ErrorKind::kNumeric,
       "[step {}] gradients must be finite, got a norm of {}; first bad: {}. Hint: a smaller learning_rate, or dtype "
       "float32.",
       step + 1, norm, name);
}

void GradientWatch::observe(const nn::ParameterStore& store, int64_t step, double learning_rate, Warnings& warnings) {
  if (done_) return;
  const auto& leaves = store.leaves();
  alive_.resize(leaves.size());
  for (size_t i = 0; i < leaves.size(); ++i)
    if (!alive_[i] && !leaves[i].frozen(step))
      alive_[i] = store.grads().narrow(0, leaves[i].offset, leaves[i].size).count_nonzero().item<int64_t>() > 0;
  if (!moved_) {
    moved_ = learning_rate > 0;
    return;
  }
  done_ = true;
  std::vector<std::string> dead;
  for (size_t i = 0; i < leaves.size(); ++i)
    if (!alive_[i] && !leaves[i].frozen(step)) dead.push_back(leaves[i].name);
  if (dead.empty()) return;
  const size_t count = dead.size();
  constexpr size_t kShown = 5;
  if (count > kShown) dead.resize(kShown);
  warnings.add("dead_gradient",
               fmt::format("[step {}] {} of {} trainable tensors have received no gradient: {}{}", step + 1, count,
                           leaves.size(), join(dead, ", "), count > kShown ? ", …" : ""));
}

}  // namespace morex::train
