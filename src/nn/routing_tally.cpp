#include "nn/routing_tally.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>
#include <tuple>

#include "base/error.h"

namespace morex::nn {
namespace {

constexpr int64_t kWaitingElements = int64_t{1} << 21;  // 8 MiB in float32
constexpr int64_t kAloneElements = int64_t{1} << 14;    // joining gates this large costs more than it saves

// Σ p·ln p over the last dimension; 0·ln 0 = 0.
at::Tensor sum_p_log_p(const at::Tensor& p) { return at::clamp_min(p, 1e-30).log_().mul_(p).sum(-1); }

int64_t numbers_of(const RoutedGate& gate) { return 2 * gate.experts + 3; }

std::vector<double> divided(const double* sums, int64_t count, double by) {
  std::vector<double> values(sums, sums + count);
  for (double& value : values) value = by > 0 ? value / by : 0.0;
  return values;
}

}  // namespace

RoutingTally::RoutingTally(std::vector<RoutedGate> gates) : gates_(std::move(gates)) {
  int64_t total = 0;
  for (size_t i = 0; i < gates_.size(); ++i) {
    offsets_.push_back(total);
    total += numbers_of(gates_[i]);
    gate_of_[{gates_[i].site, gates_[i].level}] = i;
  }
  sums_ = at::zeros({total}, at::kDouble);
}

void RoutingTally::add(const std::string& site, int64_t level, GateRows rows) {
  const auto found = gate_of_.find({site, level});
  MOREX_ASSERT(found != gate_of_.end());
  for (at::Tensor* tensor : {&rows.distribution, &rows.ids, &rows.weights, &rows.mask}) {
    if (!tensor->defined()) continue;
    *tensor = tensor->detach();
    waiting_elements_ += tensor->numel();
  }
  waiting_.emplace_back(found->second, std::move(rows));
  if (waiting_elements_ >= kWaitingElements) flush();
}

void RoutingTally::flush() {
  const at::NoGradGuard no_grad;
  // Gates of one shape are reduced as one tensor: a model has hundreds of them, and most are small.
  std::map<std::tuple<int64_t, int64_t, int64_t, bool, bool, bool>, std::vector<size_t>> groups;
  for (size_t i = 0; i < waiting_.size(); ++i) {
    const auto& [gate, rows] = waiting_[i];
    if (rows.weights.numel() >= kAloneElements) {
      reduce({i});
      continue;
    }
    groups[{rows.weights.size(0), gates_[gate].experts, rows.weights.size(1), rows.ids.defined(),
            rows.distribution.defined(), rows.mask.defined()}]
        .push_back(i);
  }
  for (const auto& [shape, group] : groups) reduce(group);
  waiting_.clear();
  waiting_elements_ = 0;
}

void RoutingTally::reduce(const std::vector<size_t>& group) {
  const auto joined = [&](at::Tensor GateRows::*field) {
    if (group.size() == 1) {
      const at::Tensor& only = waiting_[group.front()].second.*field;
      return only.defined() ? only.unsqueeze(0) : only;
    }
    std::vector<at::Tensor> parts;
    for (const size_t i : group) parts.push_back(waiting_[i].second.*field);
    return parts.front().defined() ? at::stack(parts, 0) : at::Tensor();
  };
  const auto count = static_cast<int64_t>(group.size());  // G
  const int64_t experts = gates_[waiting_[group.front()].first].experts;
  at::Tensor weights = joined(&GateRows::weights);       // [G, n, k] or [G, n, E]
  const at::Tensor ids = joined(&GateRows::ids);         // [G, n, k]
  const at::Tensor p = joined(&GateRows::distribution);  // [G, n, E]
  const at::Tensor mask = joined(&GateRows::mask);       // [G, n]
  const int64_t rows = weights.size(1);
  if (mask.defined()) weights = weights * mask.unsqueeze(2);
  const auto per_expert = [&](const at::Tensor& values) {  // [G, n, k] -> [G, E]
    if (!ids.defined()) return values.sum(1);
    const at::Tensor places = ids + at::arange(count, ids.options()).view({-1, 1, 1}) * experts;
    return at::zeros({count * experts}, values.options())
        .index_add_(0, places.flatten(), values.flatten())
        .view({count, experts});
  };
  const double scale = experts > 1 ? 1.0 / std::log(static_cast<double>(experts)) : 0.0;

  at::Tensor before = at::full({count}, std::numeric_limits<double>::quiet_NaN(), weights.options());
  if (p.defined()) {
    const at::Tensor each = sum_p_log_p(p);                          // [G, n]
    before = (mask.defined() ? each * mask : each).sum(1) * -scale;  // [G]
  }
  // With s = Σ w the entropy of w/s is ln s - Σ w·ln w / s. Rounding below 0, and rows without a weight, are 0.
  const at::Tensor size = at::abs(weights), total = at::clamp_min(size.sum(2), 1e-30);  // [G, n, …], [G, n]
  const at::Tensor after = at::clamp_min(at::log(total) - sum_p_log_p(size) / total, 0).sum(1) * scale;  // [G]
  const at::Tensor counted =
      mask.defined() ? mask.sum(1) : at::full({count}, static_cast<double>(rows), weights.options());
  const at::Tensor sums = at::cat({per_expert(weights.ne(0).to(weights.scalar_type())), per_expert(weights),
                                   before.unsqueeze(1), after.unsqueeze(1), counted.unsqueeze(1)},
                                  1)
                              .to(at::kCPU, at::kDouble)
                              .contiguous();  // [G, 2E + 3]
  double* into = sums_.mutable_data_ptr<double>();
  for (int64_t g = 0; g < count; ++g) {
    const double* from = sums.const_data_ptr<double>() + g * sums.size(1);
    double* place = into + offsets_[waiting_[group[static_cast<size_t>(g)]].first];
    for (int64_t i = 0; i < sums.size(1); ++i) place[i] += from[i];
  }
}

std::vector<GateNumbers> RoutingTally::numbers() const {
  std::vector<GateNumbers> all;
  for (size_t i = 0; i < gates_.size(); ++i) {
    const double* sums = sums_.const_data_ptr<double>() + offsets_[i];
    const int64_t experts = gates_[i].experts;
    const double rows = sums[2 * experts + 2];
    GateNumbers numbers;
    numbers.rows = rows;
    numbers.share = divided(sums, experts, rows);
    numbers.weight = divided(sums + experts, experts, rows);
    numbers.entropy = rows > 0 ? sums[2 * experts] / rows : std::numeric_limits<double>::quiet_NaN();
    numbers.entropy_after = rows > 0 ? sums[2 * experts + 1] / rows : std::numeric_limits<double>::quiet_NaN();
    all.push_back(std::move(numbers));
  }
  return all;
}

void RoutingTally::clear() {
  MOREX_ASSERT(waiting_.empty());
  sums_.zero_();
}

}  // namespace morex::nn
