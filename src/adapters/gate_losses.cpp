#include "adapters/gate_losses.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/ge.h>
#include <ATen/ops/var.h>
#include <ATen/ops/zeros.h>

#include <map>
#include <tuple>

namespace morex::adapters {
namespace {

at::Tensor squared_variation(const at::Tensor& values) {
  if (values.numel() == 1) return at::zeros({}, values.options());
  return at::var(values, /*unbiased=*/true) / (values.mean().square() + 1e-10);
}

// Adds `gate` to the pool; the first one opens it.
void add_gate(nn::GateReport& pool, const nn::GateReport& gate) {
  if (!pool.counts.defined()) {
    pool = gate;
    return;
  }
  pool.counts = pool.counts + gate.counts;
  pool.rows = pool.rows + gate.rows;
  for (auto& [name, sum] : pool.sums) sum = sum + gate.sums.at(name);
}

// Undefined when the gate does not report it. Without a mask there is one sum for real and for all tokens.
at::Tensor sum_of(const nn::GateReport& gate, const std::string& name, bool padding) {
  if (const auto all = gate.sums.find(name + ".all"); padding && all != gate.sums.end()) return all->second;
  const auto found = gate.sums.find(name);
  return found == gate.sums.end() ? at::Tensor() : found->second;
}

at::Tensor counts_of(const nn::GateReport& gate, bool padding) {
  const at::Tensor all = padding ? sum_of(gate, "counts", true) : at::Tensor();
  return (all.defined() ? all : gate.counts).detach();
}

at::Tensor rows_of(const nn::GateReport& gate, bool padding) {
  const at::Tensor all = padding ? sum_of(gate, "rows", true) : at::Tensor();
  return at::clamp_min((all.defined() ? all : gate.rows).detach(), 1);
}

// E·Σ f·P from sums; f to sum to 1 when `normalised`.
at::Tensor switch_form(const at::Tensor& chosen, const at::Tensor& probability, const at::Tensor& rows,
                       bool normalised) {
  const at::Tensor shares = chosen / (normalised ? at::clamp_min(chosen.sum(), 1e-30) : rows);
  return (shares * (probability / rows)).sum() * static_cast<double>(probability.numel());
}

at::Tensor mean_of(const nn::GateReport& gate, const std::string& name, bool padding) {
  const at::Tensor sum = sum_of(gate, name, padding);
  return sum.defined() ? sum / rows_of(gate, padding) : sum;
}

at::Tensor loss_of(const GateLoss& loss, const nn::GateReport& gate) {
  if (loss.kind == "balance") return balance_loss(gate, loss.padding, loss.normalised);
  if (loss.kind == "localized") return localized_loss(gate, loss.delta);
  if (loss.kind == "main_balance") {
    const at::Tensor probability = sum_of(gate, "main.probability", loss.padding);
    if (!probability.defined()) return {};
    return switch_form(sum_of(gate, "main.counts", loss.padding).detach(), probability, rows_of(gate, loss.padding),
                       loss.normalised);
  }
  if (loss.kind == "importance") {
    const at::Tensor importance = sum_of(gate, "importance", loss.padding);
    return importance.defined() ? squared_variation(importance) : importance;
  }
  return mean_of(gate, loss.kind, loss.padding);  // z, entropy
}

}  // namespace

LossNeeds loss_needs(const std::vector<GateLoss>& losses) {
  LossNeeds needs;
  for (const GateLoss& loss : losses) {
    needs.kinds.insert(loss.padding ? loss.kind + ".all" : loss.kind);
    if (loss.kind != "entropy") continue;
    MOREX_CHECK(!needs.kinds.contains("entropy form") || needs.entropy == loss.entropy, ErrorKind::kConfig,
                "[losses] all entropy losses of one method must have the same form");
    needs.kinds.insert("entropy form");
    needs.entropy = loss.entropy;
  }
  return needs;
}

at::Tensor balance_loss(const nn::GateReport& gate, bool padding, bool normalised) {
  const at::Tensor probability = sum_of(gate, "probability", padding);
  if (probability.defined()) {
    const at::Tensor shares = sum_of(gate, "shares", padding);
    return switch_form(shares.defined() ? shares : counts_of(gate, padding), probability, rows_of(gate, padding),
                       normalised);
  }
  const at::Tensor importance = sum_of(gate, "importance", padding), load = sum_of(gate, "load", padding);
  if (!importance.defined() || !load.defined()) return {};
  return squared_variation(importance) + squared_variation(load);
}

at::Tensor localized_loss(const nn::GateReport& gate, double delta) {
  const at::Tensor sums = sum_of(gate, "by_sequence", false);  // [B, E]
  if (!sums.defined()) return sums;
  const int64_t experts = sums.size(1);
  MOREX_CHECK(experts % 2 == 0, ErrorKind::kConfig, "[losses] localized needs an even number of experts, {} has {}",
              gate.site, experts);
  MOREX_CHECK(
      gate.sample_types.defined() && gate.sample_types.numel() == sums.size(0), ErrorKind::kConfig,
      "[losses] localized needs a sample type, 0 or 1, for each of the {} sequences. Hint: rows give it in their "
      "column sample_type_column",
      sums.size(0));
  const at::Tensor second = at::ge(at::arange(experts, gate.sample_types.options()), experts / 2);  // [E]
  const at::Tensor own = gate.sample_types.reshape({-1, 1}).eq(1).logical_xor(second);              // [B, E]
  // The official code holds I in float32, in a float64 run too.
  const double high = static_cast<float>(1.0 + delta), low = static_cast<float>(1.0 - delta);
  return squared_variation(sums * (own.to(sums.scalar_type()) * (high - low) + low));
}

at::Tensor form_loss(const GateLoss& loss, const std::vector<const nn::GateReport*>& gates) {
  std::map<std::tuple<std::string, int64_t, int64_t, int64_t>, nn::GateReport> pools;
  for (const nn::GateReport* gate : gates) {
    const std::string site = loss.scope == LossScope::kSite ? gate->site : "";
    const int64_t layer = loss.scope == LossScope::kModel ? 0 : gate->layer;
    add_gate(pools[{site, layer, gate->level, gate->counts.numel()}], *gate);
  }
  at::Tensor total;
  for (const auto& [key, pool] : pools) {
    const at::Tensor value = loss_of(loss, pool);
    if (value.defined()) total = total.defined() ? total + value : value;
  }
  return total.defined() ? total * loss.coef : total;
}

}  // namespace morex::adapters
