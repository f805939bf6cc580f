// S'MoRE (Zeng et al., arXiv 2504.06426): a tree of residual experts per token. With u = A·x + a, E = c·(B·u + b):
//   x'(q) = Σ_j α(n)·σ(E_i(n) + W·x(n) + w),  y += P·x_L + p      (position `all`; TreePosition has the others)
// A of all levels and experts are down rows, P is the up matrix, everything between is small. Parameters:
//   d_in·D + D + Σ s·d'·(r + 1) + Σ_(l>0) d'·(d + 1) + d_out·(d_L + 1)  (+ L with prelu), d' the next level's width.
// Equal to the official code's sum over chosen experts: each node's expert output is one product with the chosen
// block of u, so nothing of tokens x experts x width is formed, and the linear positions sum before they multiply.
// Chosen nodes with tanh or relu at position `all`, the paper's form, run in ops::tree_level.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <optional>

#include "adapters/expert_similarity.h"
#include "adapters/structure/table.h"
#include "adapters/structure/tree_options.h"
#include "ops/tree_level.h"

namespace morex::adapters {
namespace {

class Tree : public Structure {
 public:
  Tree(const Site& site, TreeOptions options, bool dense) : options_(std::move(options)), dense_(dense) {
    for (size_t l = 0; l < options_.ranks.size(); ++l) add_level(site, l);
    const int64_t wide = options_.width(options_.ranks.size());
    Init final = options_.init == TreeInit::kFinalZero || options_.init == TreeInit::kOneLayer ? Init::constant(0.0)
                                                                                               : Init::kaiming(wide);
    tensors_.push_back({"moe_W_final", Place::kUp, {site.d_out, wide}, std::move(final)});
    tensors_.push_back({"moe_W_final_bias", Place::kUpBias, {site.d_out}, Init::constant(0.0)});
  }

  GateShape gates() const override { return options_.gates(); }
  int64_t down_rows() const override { return options_.down_rows(); }
  int64_t up_rows() const override { return options_.width(options_.ranks.size()); }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  at::Tensor mix(const at::Tensor& h, const Gates& gates, const std::vector<at::Tensor>& own,
                 const TokenRows& rows) const override;
  int64_t mix_width() const override;
  StructureCost cost(const Site& site) const override;
  at::Tensor expert_products(const SiteTensors& tensors, int64_t level) const override;
  std::string why_not_mergeable() const override {
    return "a tree's update depends on the token and is not linear, so it is no matrix that could be added to a weight";
  }

 private:
  // Numbers into tensors_; -1: the level has none.
  struct Level {
    int64_t first_row = 0;
    size_t a = 0, b = 0, b_bias = 0;
    int64_t w = -1, w_bias = -1, slope = -1;
  };

  void add_level(const Site& site, size_t l);
  void add_pool(const Site& site, size_t l, Level& level);
  // What each level's pool reads of h [T, R].
  std::vector<at::Tensor> rows_of_levels(const at::Tensor& h) const;
  // One level in one pass; its tables are fixed values.
  at::Tensor fused_level(const ops::TreeLevelInput& input, size_t l, ops::TreeActivation activation,
                         const nn::BatchContext& ctx) const;
  size_t add(TensorSpec spec) {
    tensors_.push_back(std::move(spec));
    return tensors_.size() - 1;
  }
  static at::Tensor own_or_none(const std::vector<at::Tensor>& own, int64_t index) {
    return index < 0 ? at::Tensor() : own[static_cast<size_t>(index)];
  }

  TreeOptions options_;
  bool dense_;  // the router fills every gate
  std::vector<Level> levels_;
  std::vector<TensorSpec> tensors_;
};

void Tree::add_pool(const Site& site, size_t l, Level& level) {
  const int64_t r = options_.ranks[l], s = options_.pool[l], next = options_.width(l + 1);
  const std::string number = "." + std::to_string(l);
  level.first_row = options_.width(l);
  add({"moe_A" + number, Place::kDown, {s, r, site.d_in}, Init::kaiming(site.d_in), level.first_row});
  level.a = add({"moe_A_bias" + number, Place::kOwn, {s, r}, Init::constant(0.0)});
  Init start = Init::kaiming(r);
  if (options_.init == TreeInit::kBZero || options_.init == TreeInit::kBWZero) start = Init::constant(0.0);
  if (options_.init == TreeInit::kOneLayer) {
    start.pattern = [=] {  // expert i writes its rank coordinates to rows i·r … of the message
      at::Tensor b = at::zeros({s, next, r});
      for (int64_t i = 0; i < s; ++i) b[i].narrow(0, i * r, r).copy_(at::eye(r));
      return b;
    };
  }
  level.b = add({"moe_B" + number, Place::kOwn, {s, next, r}, std::move(start)});
  level.b_bias = add({"moe_B_bias" + number, Place::kOwn, {s, next}, Init::constant(0.0)});
}

void Tree::add_level(const Site& site, size_t l) {
  Level level;
  if (options_.shared_pool && l > 0) {
    level = levels_.front();
  } else {
    add_pool(site, l, level);
  }
  const int64_t width = options_.width(l), next = options_.width(l + 1);
  const std::string number = "." + std::to_string(l);
  if (l > 0) {
    Init start = options_.init == TreeInit::kBWZero ? Init::constant(0.0) : Init::kaiming(width);
    if (options_.init == TreeInit::kOneLayer) {
      start.pattern = [=] {  // the lower levels' message moves down unchanged, below this level's own rows
        at::Tensor w = at::zeros({next, width});
        w.narrow(0, next - width, width).copy_(at::eye(width));
        return w;
      };
    }
    level.w = static_cast<int64_t>(add({"moe_W" + number, Place::kOwn, {next, width}, std::move(start)}));
    level.w_bias = static_cast<int64_t>(add({"moe_W_bias" + number, Place::kOwn, {next}, Init::constant(0.0)}));
  }
  if (options_.activation.has_slope())
    level.slope = static_cast<int64_t>(
        add({"moe_expert_act_param" + number, Place::kOwn, {1}, Init::constant(options_.activation.start)}));
  levels_.push_back(level);
}

std::vector<at::Tensor> Tree::rows_of_levels(const at::Tensor& h) const {
  if (options_.shared_pool) return std::vector<at::Tensor>(levels_.size(), h);
  std::vector<int64_t> sizes;
  for (size_t l = 0; l < levels_.size(); ++l) sizes.push_back(options_.pool[l] * options_.ranks[l]);
  return h.split_with_sizes(sizes, 1);
}

at::Tensor Tree::fused_level(const ops::TreeLevelInput& input, size_t l, ops::TreeActivation activation,
                             const nn::BatchContext& ctx) const {
  if (!ctx.fixed) return ops::tree_level(input, options_.scale(l), activation);
  const auto& tables = ctx.fixed->of(this, static_cast<int64_t>(l), [&] {
    const ops::TreeLevelTables made = ops::tree_level_tables(input, options_.scale(l));
    return std::vector<at::Tensor>{made.b, made.bias};
  });
  return ops::tree_level(input, {tables[0], tables[1]}, activation);
}

at::Tensor Tree::mix(const at::Tensor& h, const Gates& gates, const std::vector<at::Tensor>& own,
                     const TokenRows& rows) const {
  const int64_t tokens = h.size(0);
  const bool linear =
      options_.position != TreePosition::kAll || options_.activation.kind == SmallActivation::Kind::kIdentity;
  const auto fused = h.is_cpu() && !linear ? options_.activation.in_trees() : std::nullopt;
  const std::vector<at::Tensor> pools = rows_of_levels(h);  // [T, s·r] each
  at::Tensor x;                                             // [T·F_l, d_l]: one message per node of the level
  for (size_t l = 0; l < levels_.size(); ++l) {
    const Level& level = levels_[l];
    const int64_t r = options_.ranks[l], s = options_.pool[l], next = options_.width(l + 1);
    const at::Tensor& alpha = gates.levels[l].weights;  // [T, P, f]
    const int64_t parents = alpha.size(1), fan = alpha.size(2);
    const bool dense = !gates.levels[l].ids.defined();
    const double c = options_.scale(l);
    if (fused && !dense) {
      x = fused_level({pools[l], own[level.a], own[level.b], own[level.b_bias], x, own_or_none(own, level.w),
                       own_or_none(own, level.w_bias), alpha, gates.levels[l].ids},
                      l, *fused, rows.ctx);
      continue;
    }

    const at::Tensor u = pools[l].reshape({tokens, s, r}) + own[level.a];           // [T, s, r]
    const at::Tensor up = own[level.b].transpose(1, 2).reshape({s * r, next}) * c;  // [s·r, d']
    const at::Tensor up_bias = own[level.b_bias] * c;                               // [s, d']
    const at::Tensor w = own_or_none(own, level.w), w_bias = own_or_none(own, level.w_bias);
    const at::Tensor slope = own_or_none(own, level.slope);
    const at::Tensor picks =  // [T, P, f, s] one-hot of the chosen expert
        dense ? at::Tensor()
              : at::eq(gates.levels[l].ids.unsqueeze(-1), at::arange(s, gates.levels[l].ids.options()))
                    .to(alpha.scalar_type());

    if (linear) {
      const at::Tensor g = dense ? alpha : at::matmul(alpha.unsqueeze(2), picks).squeeze(2);        // [T, P, s]
      const at::Tensor gu = (g.unsqueeze(-1) * u.unsqueeze(1)).reshape({tokens * parents, s * r});  // [T·P, s·r]
      const at::Tensor g2 = g.reshape({tokens * parents, s});
      at::Tensor sum = at::addmm(at::mm(g2, up_bias), gu, up);  // [T·P, d']
      if (l > 0) {
        const at::Tensor below = options_.activation(x, slope).view({tokens, parents, fan, options_.width(l)});
        if (options_.position == TreePosition::kChild) {
          sum = sum + at::addmm(w_bias * fan, below.sum(2).flatten(0, 1), w.t());
        } else {
          const at::Tensor weighted = at::matmul(alpha.unsqueeze(2), below).flatten(0, 2);  // [T·P, d]
          sum = at::addmm(sum, weighted, w.t()) + g2.sum(1, /*keepdim=*/true) * w_bias;
        }
      }
      x = sum;
      continue;
    }
    at::Tensor v;  // [T·P·f, d']
    if (dense) {
      const at::Tensor e = at::baddbmm((l > 0 ? up_bias + w_bias : up_bias).unsqueeze(1), u.transpose(0, 1),
                                       up.view({s, r, next}));  // [s, T, d']
      v = e.transpose(0, 1).unsqueeze(1).expand({tokens, parents, s, next}).reshape({-1, next});
    } else {
      const at::Tensor picked = (picks.unsqueeze(-1) * u.view({tokens, 1, 1, s, r})).reshape({-1, s * r});
      v = at::addmm(at::mm(picks.view({-1, s}), l > 0 ? up_bias + w_bias : up_bias), picked, up);
    }
    if (l > 0) v = at::addmm(v, x, w.t());
    const at::Tensor out = options_.activation(v, slope).view({tokens, parents, fan, next});
    x = at::matmul(alpha.unsqueeze(2), out).flatten(0, 2);  // [T·P, d']
  }
  if (rows.recorder != nullptr && rows.recorder->keep_details) rows.recorder->details.emplace_back("x_L", x);
  return x;
}

at::Tensor Tree::expert_products(const SiteTensors& tensors, int64_t level) const {
  const auto l = static_cast<size_t>(level);
  const int64_t r = options_.ranks[l], s = options_.pool[l];
  const at::Tensor a = tensors.down.narrow(0, levels_[l].first_row, s * r).view({s, r, tensors.down.size(1)});
  return update_products(a, tensors.own[levels_[l].b].transpose(1, 2));
}

int64_t Tree::mix_width() const {
  int64_t widest = 1;
  for (size_t l = 0; l < levels_.size(); ++l) {
    // Dense nodes need the experts' outputs once per token, not a chosen block of u each.
    const int64_t block = dense_ ? 0 : options_.pool[l] * options_.ranks[l];
    widest = std::max(widest, options_.nodes(l, dense_) * std::max(options_.width(l + 1), block));
  }
  return widest;
}

StructureCost Tree::cost(const Site& site) const {
  StructureCost cost;
  double sparse = 0.0, all = 0.0;  // multiply-adds
  for (size_t l = 0; l < levels_.size(); ++l) {
    const int64_t r = options_.ranks[l], s = options_.pool[l], next = options_.width(l + 1);
    const int64_t nodes = options_.nodes(l, dense_);
    if (l == 0 || !options_.shared_pool) {  // a shared pool is evaluated once; level 0 has the most nodes
      // DEVIATION: like the official statistics, active parameters take the configured fan-out for dense gates too.
      cost.active_parameters += std::min(options_.nodes(l, false), s) * (r * site.d_in + r + next * r + next);
      sparse += static_cast<double>(std::min(nodes, s) * r * (site.d_in + next));
      all += static_cast<double>(s * r * (site.d_in + next));
    }
    cost.active_parameters += options_.activation.has_slope() ? 1 : 0;
    if (l == 0) continue;
    cost.active_parameters += next * options_.width(l) + next;
    const auto between = static_cast<double>(nodes * next * options_.width(l));
    sparse += between;
    all += between;
  }
  cost.active_parameters += site.d_out * up_rows() + site.d_out;
  const auto last = static_cast<double>(site.d_out * up_rows());
  cost.sparse_flops = 2.0 * (sparse + last);
  cost.flops = 2.0 * (all + last);
  return cost;
}

}  // namespace

std::unique_ptr<Structure> make_tree(const MakeStructure& from) {
  return std::make_unique<Tree>(from.site, read_tree_options(from.options, from.warnings), from.dense_router);
}

}  // namespace morex::adapters
