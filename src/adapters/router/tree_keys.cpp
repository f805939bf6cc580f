// S'MoRE's router (Zeng et al., arXiv 2504.06426, section 3.3): walks the tree from the top. The gate of a level reads
// [h ; keys of the ancestors, topmost first], h = D·x + e, makes a query by a small network and scores the level's
// keys:
//   q = V2·φ(V1·γ + c1) + c2,  z = K·q (divided by logit_temperature).
// Gates: switch (softmax, top f, renormalised when f > 1), noisy_topk (cosine, learned noise in training), dense.
// V1·γ is split into the part of h, formed once per token, and one table row per ancestor (K·V1ᵀ of its level), so no
// gate input is ever concatenated. Parameters per level: g·m + m + m² + m + s·m (+ s·g noisy, + 1 prelu).
// Inside mixture_of_routers (arXiv 2503.23362) every level has N such networks over the same keys and a main router on
// [h ; ancestor keys]; parameters per level: N·(g·m + m + m² + m) + s·m + N·g.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/stack.h>

#include <numeric>

#include "adapters/level_list.h"
#include "adapters/router/softening.h"
#include "adapters/router/table.h"
#include "adapters/router/tree_gates.h"
#include "adapters/router/tree_mixture.h"
#include "adapters/small_activation.h"
#include "base/strings.h"
#include "ops/tree_scores.h"

namespace morex::adapters {
namespace {

TreeGate read_gate(const JsonReader& options) {
  const auto gate = options.get_or<std::string>("gate", "switch");
  if (gate == "switch") return TreeGate::kSwitch;
  if (gate == "noisy_topk") return TreeGate::kNoisyTopK;
  MOREX_CHECK(gate == "dense", ErrorKind::kConfig, "[router] gate must be switch, noisy_topk or dense, got '{}'.{}",
              gate, did_you_mean(gate, {"switch", "noisy_topk", "dense"}));
  return TreeGate::kDense;
}

class TreeKeys : public Router {
 public:
  TreeKeys(const MakeRouter& from, TreeGate gate, int64_t summary, std::vector<int64_t> widths, SmallActivation phi,
           std::optional<MixtureOptions> mixture)
      : shape_(from.shape),
        gate_(gate),
        summary_(summary),
        widths_(std::move(widths)),
        phi_(phi),
        softening_(read_softening(from.options)),
        mixture_(mixture) {
    const int64_t d_in = from.site.d_in;
    tensors_.push_back({"moe_downproj_x.weight", Place::kRoute, {summary_, d_in}, Init::kaiming(d_in)});
    tensors_.push_back({"moe_downproj_x.bias", Place::kOwn, {summary_}, Init::kaiming(d_in)});
    for (size_t l = 0; l < widths_.size(); ++l) add_level(l);
  }

  int64_t rows() const override { return summary_; }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  bool dense() const override { return gate_ == TreeGate::kDense; }
  double jitter() const override { return softening_.jitter; }
  Gates route(const at::Tensor& u, const std::vector<at::Tensor>& own, const Prior& prior,
              const std::vector<at::Tensor>& prior_own, const TokenRows& rows) const override;
  double flops() const override {
    return 2.0 * (static_cast<double>(summary_) * static_cast<double>(d_in()) + gate_macs());
  }

 private:
  // Numbers into tensors_.
  struct Network {
    size_t v1 = 0, c1 = 0, v2 = 0, c2 = 0;
    int64_t slope = -1;
  };
  struct Level {
    std::vector<Network> networks;  // one, or one per sub-router
    size_t keys = 0;
    int64_t noise = -1, main = -1;
  };

  int64_t d_in() const { return tensors_.front().shape[1]; }
  int64_t gate_input(size_t l) const {
    return std::accumulate(widths_.begin() + static_cast<int64_t>(l) + 1, widths_.end(), summary_);
  }
  double gate_macs() const;
  void add_level(size_t l);
  Network add_network(const std::string& name, size_t l);
  size_t add(TensorSpec spec) {
    tensors_.push_back(std::move(spec));
    return tensors_.size() - 1;
  }
  // What the walk down to a level has left behind.
  struct Walk {
    std::vector<at::Tensor> keys;   // by level
    std::vector<at::Tensor> picks;  // by level, one-hot [T, P, f, s] of the chosen experts; undefined: dense
    // Of fused(): [T·P, levels above] rows in the stacked tables of those levels; undefined at the top.
    at::Tensor path;
    int64_t table_rows = 0;

    // Goes one level down through the chosen ids [T, P, f] of `experts`.
    void step(const at::Tensor& ids, int64_t experts);
  };
  // weight·γ for every node that parents level l: `weight` [n, g_l] applied to [h ; ancestor keys] -> [T, P, n].
  at::Tensor over_path(const at::Tensor& h, const at::Tensor& weight, size_t l, const Walk& walk) const;
  // K·V1ᵀ of every level above l, topmost first, for V1 = `weight` [n, g_l].
  std::vector<at::Tensor> key_tables(const at::Tensor& weight, size_t l, const Walk& walk) const;
  // [T·P, s] of one network.
  at::Tensor scores(const at::Tensor& h, const Network& network, size_t l, const std::vector<at::Tensor>& own,
                    const Walk& walk, const nn::BatchContext& ctx) const;
  // Whether one pass makes the scores of sparse levels.
  bool fused(const at::Tensor& h) const { return h.is_cpu() && gate_ == TreeGate::kSwitch && phi_.in_trees(); }
  // Whether something beside the scores reads the path.
  bool reads_picks() const { return gate_ == TreeGate::kNoisyTopK || (mixture_ && mixture_->learned); }

  GateShape shape_;
  TreeGate gate_;
  int64_t summary_;
  std::vector<int64_t> widths_;  // m per level
  SmallActivation phi_;
  Softening softening_;
  std::optional<MixtureOptions> mixture_;
  std::vector<Level> levels_;
  std::vector<TensorSpec> tensors_;
};

TreeKeys::Network TreeKeys::add_network(const std::string& name, size_t l) {
  const int64_t m = widths_[l], g = gate_input(l);
  Network network;
  network.v1 = add({name + ".mlp.0.weight", Place::kOwn, {m, g}, Init::kaiming(g)});
  network.c1 = add({name + ".mlp.0.bias", Place::kOwn, {m}, Init::kaiming(g)});
  if (phi_.has_slope())
    network.slope = static_cast<int64_t>(add({name + ".mlp.1.weight", Place::kOwn, {1}, Init::constant(phi_.start)}));
  network.v2 = add({name + ".mlp.2.weight", Place::kOwn, {m, m}, Init::kaiming(m)});
  network.c2 = add({name + ".mlp.2.bias", Place::kOwn, {m}, Init::kaiming(m)});
  return network;
}

void TreeKeys::add_level(size_t l) {
  const int64_t m = widths_[l], g = gate_input(l), s = shape_.levels[l].experts;
  const std::string name = "moe_gate." + std::to_string(l);
  Level level;
  if (mixture_) {
    for (int64_t n = 0; n < mixture_->routers; ++n)
      level.networks.push_back(add_network(name + ".sub." + std::to_string(n), l));
    if (mixture_->learned)
      level.main =
          static_cast<int64_t>(add({name + ".main.weight", Place::kOwn, {mixture_->routers, g}, Init::kaiming(g)}));
  } else {
    level.networks.push_back(add_network(name, l));
  }
  level.keys = add({name + ".keys", Place::kOwn, {s, m}, Init::uniform(0.0, 1.0)});
  if (gate_ == TreeGate::kNoisyTopK)
    level.noise = static_cast<int64_t>(add({name + ".weight_noise.weight", Place::kOwn, {s, g}, Init::constant(0.0)}));
  levels_.push_back(level);
}

std::vector<at::Tensor> TreeKeys::key_tables(const at::Tensor& weight, size_t l, const Walk& walk) const {
  std::vector<at::Tensor> tables;
  int64_t column = summary_;
  for (size_t above = widths_.size() - 1; above > l; --above) {
    tables.push_back(at::mm(walk.keys[above], weight.narrow(1, column, widths_[above]).t()));  // [s, n]
    column += widths_[above];
  }
  return tables;
}

at::Tensor TreeKeys::over_path(const at::Tensor& h, const at::Tensor& weight, size_t l, const Walk& walk) const {
  const int64_t n = weight.size(0);
  at::Tensor sum = at::mm(h, weight.narrow(1, 0, summary_).t()).unsqueeze(1);  // [T, 1, n]
  size_t above = widths_.size();
  for (const at::Tensor& table : key_tables(weight, l, walk)) {
    const at::Tensor& picks = walk.picks[--above];
    const at::Tensor chosen = picks.defined() ? at::matmul(picks, table) : table;  // [T, P, f, n], [s, n]
    sum = (sum.unsqueeze(2) + chosen).reshape({h.size(0), -1, n});
  }
  return sum;
}

void TreeKeys::Walk::step(const at::Tensor& ids, int64_t experts) {
  const at::Tensor below = ids.reshape({-1, 1});  // [T·P·f, 1]
  path = path.defined() ? at::cat({path.repeat_interleave(ids.size(2), 0), below + table_rows}, 1) : below;
  table_rows += experts;
}

at::Tensor TreeKeys::scores(const at::Tensor& h, const Network& network, size_t l, const std::vector<at::Tensor>& own,
                            const Walk& walk, const nn::BatchContext& ctx) const {
  const at::Tensor &v1 = own[network.v1], &c1 = own[network.c1], &v2 = own[network.v2], &c2 = own[network.c2];
  const at::Tensor& keys = walk.keys[l];
  if (fused(h)) {
    const auto fixed = ctx.fixed_values(&network, 0, [&] {
      const std::vector<at::Tensor> tables = key_tables(v1, l, walk);
      return std::vector<at::Tensor>{at::mm(keys, v2), at::mv(keys, c2),
                                     tables.size() > 1 ? at::cat(tables, 0)
                                     : tables.empty()  ? at::Tensor()
                                                       : tables[0],
                                     v1.narrow(1, 0, summary_).t()};
    });
    ops::TreeScoresInput input;
    input.base = at::mm(h, fixed[3]);  // [T, m]
    input.table = fixed[2];
    input.path = walk.path;
    input.bias = c1;
    input.keys = fixed[0];
    input.shift = fixed[1];
    return ops::tree_scores(input, *phi_.in_trees());
  }
  const at::Tensor slope = network.slope < 0 ? at::Tensor() : own[static_cast<size_t>(network.slope)];
  const at::Tensor flat = phi_(over_path(h, v1, l, walk) + c1, slope).reshape({-1, widths_[l]});  // [T·P, m]
  // Where the query has no length of its own, K·V2 is formed once, not the query of every node.
  return gate_ == TreeGate::kNoisyTopK ? at::mm(unit_rows(at::addmm(c2, flat, v2.t())), keys.t())
                                       : at::addmm(at::mv(keys, c2), flat, at::mm(keys, v2).t());
}

Gates TreeKeys::route(const at::Tensor& u, const std::vector<at::Tensor>& own, const Prior& prior,
                      const std::vector<at::Tensor>& prior_own, const TokenRows& rows) const {
  const at::Tensor h = u + own[1];  // [T, d_dn]
  const int64_t tokens = h.size(0);
  Gates gates;
  gates.levels.resize(levels_.size());
  Walk walk;
  walk.keys.resize(levels_.size());
  walk.picks.resize(levels_.size());
  std::vector<int64_t> nodes{tokens};
  for (size_t l = levels_.size(); l-- > 0;) {
    const Level& level = levels_[l];
    TreeGateInput input;
    input.kind = gate_;
    input.active = shape_.levels[l].active;
    input.level = static_cast<int64_t>(l);
    walk.keys[l] = gate_ == TreeGate::kNoisyTopK ? unit_rows(own[level.keys]) : own[level.keys];
    std::vector<at::Tensor> each;  // [T·P, s] of each network
    for (const Network& network : level.networks)
      each.push_back(softening_.temperature.divide(scores(h, network, l, own, walk, rows.ctx), rows.ctx));
    input.logits = each[0];
    at::Tensor p;  // [T·P, N] weights of the sub-routers
    if (mixture_) {
      const at::Tensor v =
          level.main < 0 ? at::Tensor() : over_path(h, own[static_cast<size_t>(level.main)], l, walk).flatten(0, 1);
      p = main_weights(v, each[0].size(0), *mixture_, h.options());
      const at::Tensor stacked = at::stack(each, 1);  // [T·P, N, s]
      mix_tree_logits(stacked, p, *mixture_, input);
      if (rows.recorder != nullptr && rows.recorder->keep_details)
        rows.recorder->details.emplace_back("level" + std::to_string(l) + ".sub", stacked);
    }
    if (gate_ == TreeGate::kNoisyTopK && rows.ctx.training()) {
      const at::Tensor spread = over_path(h, own[static_cast<size_t>(level.noise)], l, walk);
      input.noise_scale = at::softplus(spread.flatten(0, 1)) + 0.01;  // [T·P, s]
    }
    input.logits = prior.before_choice(input.logits, input.level, prior_own, rows);
    const size_t reports = rows.recorder == nullptr ? 0 : rows.recorder->gates.size();
    gates.levels[l] = choose(input, tokens, rows);
    if (rows.recorder != nullptr && rows.recorder->gates.size() > reports && p.defined())
      report_main(p, "level" + std::to_string(l) + ".main", rows);
    const at::Tensor& ids = gates.levels[l].ids;
    const int64_t experts = shape_.levels[l].experts;
    if (ids.defined() && l > 0) {
      if (fused(h)) walk.step(ids, experts);
      if (!fused(h) || reads_picks())
        walk.picks[l] = at::eq(ids.unsqueeze(-1), at::arange(experts, ids.options())).to(h.scalar_type());
    }
    nodes.push_back(gates.levels[l].weights.size(2));
    if (rows.recorder != nullptr && rows.recorder->keep_details) {
      const std::string name = "level" + std::to_string(l);
      if (ids.defined()) rows.recorder->details.emplace_back(name + ".ids", ids.reshape(nodes));
      rows.recorder->details.emplace_back(name + ".scores", gates.levels[l].weights.reshape(nodes));
    }
  }
  return gates;
}

double TreeKeys::gate_macs() const {
  double macs = 0.0, parents = 1.0;
  for (size_t l = levels_.size(); l-- > 0;) {
    const auto m = static_cast<double>(widths_[l]), g = static_cast<double>(gate_input(l));
    const auto s = static_cast<double>(shape_.levels[l].experts);
    const auto networks = static_cast<double>(levels_[l].networks.size());
    macs += parents * (networks * (g * m + m * m + s * m) + (gate_ == TreeGate::kNoisyTopK ? s * g : 0.0) +
                       (levels_[l].main < 0 ? 0.0 : networks * g));
    parents *= gate_ == TreeGate::kDense ? s : static_cast<double>(shape_.levels[l].active);
  }
  return macs;
}

}  // namespace

bool tree_keys_gives(GateKind kind) { return kind == GateKind::kTree; }

bool tree_keys_fills_all(const Json& options) {
  return read_gate(JsonReader(options, "router", ErrorKind::kConfig)) == TreeGate::kDense;
}

std::unique_ptr<Router> make_tree_keys(const MakeRouter& from) { return make_tree_keys_mixture(from, {}); }

std::unique_ptr<Router> make_tree_keys_mixture(const MakeRouter& from, std::optional<MixtureOptions> mixture) {
  const JsonReader options(from.options, "router", ErrorKind::kConfig);
  options.refuse_unknown_keys(
      {"kind", "gate", "gate_dims", "gate_activation", "dim_downproj_x", "logit_temperature", "jitter_noise"});
  const TreeGate gate = read_gate(options);
  if (mixture) check_tree_mixture(*mixture, gate);
  const auto levels = static_cast<int64_t>(from.shape.levels.size());
  // As in the official code a width of 0 or less means d_in, not "none".
  int64_t summary = options.get_or<int64_t>("dim_downproj_x", 32);
  if (summary <= 0) summary = from.site.d_in;
  return std::make_unique<TreeKeys>(
      from, gate, summary, level_integers(options, "gate_dims", levels, 32, 1),
      parse_small_activation(options.get_or<std::string>("gate_activation", "relu"), "router.gate_activation"),
      mixture);
}

}  // namespace morex::adapters
