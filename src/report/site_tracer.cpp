#include "report/site_tracer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace morex::report {
namespace {

constexpr size_t kPaths = 16;

double number_of(const at::Tensor& value) {
  return value.defined() ? value.item<double>() : std::numeric_limits<double>::quiet_NaN();
}

at::Tensor joined(const std::vector<at::Tensor>& parts) { return parts.empty() ? at::Tensor() : at::cat(parts, 0); }

std::string level_name(size_t level, const char* what) { return "level" + std::to_string(level) + "." + what; }

}  // namespace

at::Tensor SiteTracer::find(const std::string& name) const {
  const auto found = details_->find(site_.module + "." + name);
  if (found == details_->end()) return {};
  const at::Tensor& value = found->second;
  return value.detach().to(at::kCPU, value.is_floating_point() ? at::kFloat : at::kLong).contiguous();
}

void SiteTracer::add(const std::map<std::string, at::Tensor>& details, int64_t tokens, bool show) {
  details_ = &details;
  levels_.resize(site_.shape.kind == adapters::GateKind::kTree ? site_.shape.levels.size() : 1);
  tokens_ += static_cast<double>(tokens);
  omega_ = number_of(find("omega"));
  gamma_ = number_of(find("gamma"));
  if (site_.shape.kind == adapters::GateKind::kTree) {
    add_tree(show);
    for (size_t l = 0; l < levels_.size(); ++l)
      add_routers(l, find(level_name(l, "main")), find(level_name(l, "sub")), tokens, show);
  } else {
    add_flat(find("g"), tokens, show);
    add_routers(0, find("main"), find("logits"), tokens, show);
  }
  details_ = nullptr;
}

void SiteTracer::add_flat(const at::Tensor& given, int64_t tokens, bool show) {
  MOREX_ASSERT(given.defined());
  if (!show) return;
  at::Tensor weights = given.size(0) == 1 ? given.expand({tokens, given.size(1)}) : given;  // [T, E]; of the sequence
  if (const at::Tensor m = find("m"); m.defined()) {
    const at::Tensor ids = find("ids");
    weights = ids.defined() ? at::scatter(at::zeros(weights.sizes(), m.options()), 1, ids, m) : m;
  }
  levels_[0].weights.push_back(weights);
}

void SiteTracer::add_tree(bool show) {
  const size_t levels = levels_.size();
  std::vector<at::Tensor> ids(levels), weights(levels);  // [T, nodes]
  for (size_t l = 0; l < levels; ++l) {
    weights[l] = find(level_name(l, "scores")).flatten(1);
    ids[l] = find(level_name(l, "ids"));
    if (ids[l].defined()) ids[l] = ids[l].flatten(1);
  }
  if (const at::Tensor m = find("m"); m.defined()) weights.back() = m;  // a prior weighs the top level
  if (flows_.empty())
    for (size_t l = 0; l + 1 < levels; ++l)
      flows_.emplace_back(static_cast<size_t>(site_.shape.levels[l + 1].experts),
                          std::vector<double>(static_cast<size_t>(site_.shape.levels[l].experts), 0.0));
  struct Node {
    std::vector<int64_t> path;
    double weight;
  };
  for (int64_t t = 0; t < weights[0].size(0); ++t) {
    std::vector<Node> above = {{{}, 1.0}}, here;
    for (size_t l = levels; l-- > 0;) {
      const int64_t nodes = weights[l].size(1), fan = nodes / static_cast<int64_t>(above.size());
      const float* w = weights[l].const_data_ptr<float>() + t * nodes;
      const int64_t* chosen = ids[l].defined() ? ids[l].const_data_ptr<int64_t>() + t * nodes : nullptr;
      here.clear();
      for (int64_t n = 0; n < nodes; ++n) {
        const Node& parent = above[static_cast<size_t>(n / fan)];
        const int64_t id = chosen != nullptr ? chosen[n] : n % fan;
        here.push_back({parent.path, parent.weight * static_cast<double>(w[n])});
        here.back().path.push_back(id);
        if (!parent.path.empty())
          flows_[l][static_cast<size_t>(parent.path.back())][static_cast<size_t>(id)] += here.back().weight;
      }
      above.swap(here);
    }
    for (const Node& leaf : above) paths_[leaf.path] += leaf.weight;
  }
  for (size_t l = 0; show && l < levels; ++l) {
    levels_[l].weights.push_back(weights[l]);
    if (ids[l].defined()) levels_[l].ids.push_back(ids[l]);
  }
}

void SiteTracer::add_routers(size_t level, const at::Tensor& main, const at::Tensor& logits, int64_t tokens,
                             bool show) {
  if (!main.defined()) return;  // no mixture
  Level& made = levels_[level];
  const at::Tensor sums = main.to(at::kDouble).sum(0);  // [N]
  made.main_sum = made.main_sum.defined() ? made.main_sum + sums : sums;
  made.rows += static_cast<double>(main.size(0));
  MOREX_ASSERT(logits.defined() && logits.dim() == 3);
  const at::Tensor firsts = at::argmax(logits, 2);  // [rows, N]
  made.agreeing += firsts.eq(firsts.narrow(1, 0, 1)).all(1).sum().item<double>();
  if (!show) return;
  made.main.push_back(main.view({tokens, -1, main.size(1)}).mean(1));  // [T, N]
  made.firsts.push_back(firsts.view({tokens, -1, main.size(1)}).select(1, 0).contiguous());
}

TracedSite SiteTracer::finish() const {
  TracedSite traced;
  traced.site = site_;
  traced.omega = omega_;
  traced.gamma = gamma_;
  for (const Level& level : levels_) {
    TracedGate gate;
    gate.ids = joined(level.ids);
    gate.weights = joined(level.weights);
    gate.main = joined(level.main);
    gate.firsts = joined(level.firsts);
    for (int64_t n = 0; level.main_sum.defined() && n < level.main_sum.numel(); ++n)
      gate.main_mean.push_back(level.main_sum[n].item<double>() / level.rows);
    gate.agreement = level.rows > 0 ? level.agreeing / level.rows : 0;
    traced.gates.push_back(std::move(gate));
  }
  traced.flows = flows_;
  for (auto& level : traced.flows)
    for (auto& row : level)
      for (double& value : row) value /= tokens_;
  for (const auto& [path, weight] : paths_) traced.paths.push_back({path, weight / tokens_});
  std::stable_sort(traced.paths.begin(), traced.paths.end(),
                   [](const TreePath& a, const TreePath& b) { return std::abs(a.weight) > std::abs(b.weight); });
  if (traced.paths.size() > kPaths) traced.paths.resize(kPaths);
  return traced;
}

}  // namespace morex::report
