// T-REX's intuition (arXiv 2404.08985, official code), for any router: a sequence's similarity s to K cluster
// centroids, one per gate, is added to what the router gives:
//   m = c_r·ω·g + c_p·(1 − ω)·s,  ω = σ(κ·w)
// with one learned number w per module. DEVIATION (no official form beyond T-REX's dense pairs): a sparse choice stays
// sparse: only the chosen gates get their s. A tree is weighed at its top level. Parameters: 1.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "adapters/prior/table.h"
#include "adapters/router/flat_choice.h"
#include "base/error.h"
#include "ops/top_k.h"

namespace morex::adapters {
namespace {

struct ClusterOptions {
  double token = 1.0, task = 1.0;  // c_r, c_p
  double gate_scale = 100.0;       // κ
  int64_t top_k = -1;              // the k largest m stay; -1: all
  bool use_scores = true;          // false: s = 0, T-REX's ablation
};

// The scores of these tokens' sequences: [T, K], or [1, K] where all are alike.
at::Tensor token_scores(int64_t gates, at::ScalarType dtype, const TokenRows& rows) {
  const auto& given = rows.ctx.per_sequence;
  // Layers with different numbers of gates have a set of centroids each.
  auto found = given.find("cluster_scores." + std::to_string(gates));
  if (found == given.end()) found = given.find("cluster_scores");
  MOREX_CHECK(found != given.end(), ErrorKind::kConfig,
              "[prior] clusters needs the scores of every sequence, got none for {}. Hint: make a centroids file with "
              "`morex cluster`, or set use_scores: false",
              rows.site.module);
  const at::Tensor& scores = found->second;
  MOREX_CHECK(scores.dim() == 2 && scores.size(1) == gates, ErrorKind::kConfig,
              "[prior] there must be one cluster for each of the {} gates of {}, got scores of shape {}", gates,
              rows.site.module, Json(scores.sizes().vec()).dump());
  if (scores.size(0) == 1) return scores.to(dtype);
  MOREX_CHECK(scores.size(0) == rows.ctx.batch, ErrorKind::kConfig,
              "[prior] there must be scores for each of the {} sequences, got {}", rows.ctx.batch, scores.size(0));
  return scores.to(dtype).index_select(0, sequence_numbers(rows, scores.device()));
}

class Clusters : public Prior {
 public:
  Clusters(const GateShape& shape, const ClusterOptions& options)
      : gates_(gate_count(shape)),
        level_(shape.kind == GateKind::kTree ? shape.levels.size() - 1 : 0),
        options_(options) {
    tensors_ = {{"omg.weight", Place::kOwn, {1, 1}, Init::constant(0.0)}};
  }

  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  int64_t clusters() const override { return options_.use_scores ? gates_ : 0; }
  bool keeps_sums() const override { return false; }
  at::Tensor before_choice(const at::Tensor& logits, int64_t, const std::vector<at::Tensor>&,
                           const TokenRows&) const override {
    return logits;
  }

  Gates after_choice(Gates gates, const std::vector<at::Tensor>& own, const TokenRows& rows) const override {
    LevelGates& level = gates.levels[level_];
    const at::Tensor omega = at::sigmoid(own[0] * options_.gate_scale).reshape({1});
    const at::Tensor g = level.weights.flatten(1);  // [T, E], or the chosen ones
    at::Tensor m = g * (omega * options_.token);
    if (options_.use_scores) {
      at::Tensor s = token_scores(gates_, g.scalar_type(), rows);
      if (level.ids.defined()) s = at::gather(s.expand({g.size(0), gates_}), 1, level.ids.flatten(1));
      m = m + s * ((1.0 - omega) * options_.task);
    }
    if (options_.top_k > 0 && options_.top_k < m.size(1))
      m = m * at::zeros_like(m.detach()).scatter_(1, ops::top_k(m, options_.top_k).ids, 1.0);
    if (rows.recorder != nullptr && rows.recorder->keep_details) {
      rows.recorder->details.emplace_back("m", m);
      if (rows.first == 0) rows.recorder->details.emplace_back("omega", omega);
    }
    level.weights = m.view(level.weights.sizes());
    return gates;
  }

 private:
  int64_t gates_;
  size_t level_;
  ClusterOptions options_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace

bool clusters_fit(GateKind kind) { return kind != GateKind::kNone; }

std::unique_ptr<Prior> make_clusters(const MakePrior& from) {
  const JsonReader options(from.options, "prior", ErrorKind::kConfig);
  options.refuse_unknown_keys({"kind", "token_coefficient", "task_coefficient", "gate_scale", "top_k", "use_scores"});
  ClusterOptions made;
  // The official code's constants belong to its 32 pairs; elsewhere router and prior weigh the same.
  const bool pairs = from.shape.kind == GateKind::kPairs;
  made.token = options.get_or<double>("token_coefficient", pairs ? 32.0 : 1.0);
  made.task = options.get_or<double>("task_coefficient", pairs ? 4.0 : 1.0);
  made.gate_scale = options.get_or<double>("gate_scale", 100.0);
  for (const double value : {made.token, made.task, made.gate_scale})
    MOREX_CHECK(std::isfinite(value), ErrorKind::kConfig,
                "[prior] token_coefficient, task_coefficient and gate_scale must be finite numbers, got {}", value);
  made.top_k = options.get_or<int64_t>("top_k", -1);
  MOREX_CHECK(made.top_k == -1 || made.top_k >= 1, ErrorKind::kConfig,
              "[prior] top_k must be -1 (all) or at least 1, got {}", made.top_k);
  made.use_scores = options.get_or<bool>("use_scores", true);
  return std::make_unique<Clusters>(from.shape, made);
}

}  // namespace morex::adapters
