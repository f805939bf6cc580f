#include "adapters/gate_losses.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/var.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <tuple>

#include "base/strings.h"

namespace morex::adapters {
namespace {

constexpr std::pair<const char*, LossScope> kScopes[] = {
    {"site", LossScope::kSite}, {"layer", LossScope::kLayer}, {"model", LossScope::kModel}};

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

}  // namespace

std::vector<GateLoss> read_losses(const Json& list) {
  MOREX_CHECK(list.is_array(), ErrorKind::kConfig, "[losses] must be a list of {{kind, coef, scope}}, got {}",
              list.dump());
  std::vector<GateLoss> losses;
  for (const Json& entry : list) {
    MOREX_CHECK(entry.is_object(), ErrorKind::kConfig, "[losses] each must be {{kind, coef, scope}}, got {}",
                entry.dump());
    const JsonReader reader(entry, "losses", ErrorKind::kConfig);
    reader.refuse_unknown_keys({"kind", "coef", "scope"});
    GateLoss loss{reader.get<std::string>("kind"), reader.get_or<double>("coef", 0.01), LossScope::kSite};
    MOREX_CHECK(loss.kind == "balance", ErrorKind::kConfig, "[losses] kind must be balance, got '{}'.{}", loss.kind,
                did_you_mean(loss.kind, {"balance"}));
    MOREX_CHECK(std::isfinite(loss.coef) && loss.coef >= 0.0, ErrorKind::kConfig,
                "[losses] coef must be a finite number, at least 0, got {}", loss.coef);
    const auto scope = reader.get_or<std::string>("scope", "site");
    bool found = false;
    for (const auto& [name, value] : kScopes) {
      if (scope == name) loss.scope = value, found = true;
    }
    MOREX_CHECK(found, ErrorKind::kConfig, "[losses] scope must be site, layer or model, got '{}'", scope);
    losses.push_back(loss);
  }
  return losses;
}

Json losses_to_json(const std::vector<GateLoss>& losses) {
  Json list = Json::array();
  for (const GateLoss& loss : losses)
    list.push_back(
        {{"kind", loss.kind}, {"coef", loss.coef}, {"scope", kScopes[static_cast<size_t>(loss.scope)].first}});
  return list;
}

at::Tensor balance_loss(const nn::GateReport& gate) {
  if (const auto found = gate.sums.find("probability"); found != gate.sums.end()) {
    const at::Tensor rows = at::clamp_min(gate.rows, 1);
    return (gate.counts / rows * (found->second / rows)).sum() * static_cast<double>(gate.counts.numel());
  }
  const auto importance = gate.sums.find("importance"), load = gate.sums.find("load");
  if (importance == gate.sums.end() || load == gate.sums.end()) return {};
  return squared_variation(importance->second) + squared_variation(load->second);
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
    const at::Tensor value = balance_loss(pool);
    if (value.defined()) total = total.defined() ? total + value : value;
  }
  return total.defined() ? total * loss.coef : total;
}

}  // namespace morex::adapters
