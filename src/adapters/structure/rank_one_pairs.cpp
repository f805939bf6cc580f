// T-REX (arXiv 2404.08985, official code): r1 down vectors a_i and r2 up vectors b_j, every pair of them an expert:
//   y += γ·Σ_ij M_ij·(a_i·x)·b_j,  γ = σ(κ·w)
// with M from the router and the prior, one learned number w per module. Parameters: r1·d_in + r2·d_out + 1.
// The official code's other modes are layouts of the same vectors, r1 = r2 = r:
//   matched:     `rank1`, expert e is the pair (e, e), and nothing else changes;
//   interleaved: `lora` and `sira`, expert e of n owns the ranks e, e + n, e + 2n, …, without γ.
// There is no alpha/r anywhere: the official code ignores its lora_alpha.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/kron.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sigmoid.h>

#include <cmath>

#include "adapters/expert_similarity.h"
#include "adapters/structure/table.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

enum class PairLayout { kPairs, kMatched, kInterleaved };

struct PairOptions {
  PairLayout layout = PairLayout::kPairs;
  int64_t down = 4, up = 8;  // r1, r2
  int64_t experts = 32;
  double gate_scale = 100.0;  // κ
  double dropout = 0.0;
};

class RankOnePairs : public Structure {
 public:
  RankOnePairs(const Site& site, const PairOptions& options) : options_(options) {
    tensors_ = {{"lora_A.weight", Place::kDown, {options.down, site.d_in}, Init::kaiming(site.d_in)},
                {"lora_B.weight", Place::kUp, {site.d_out, options.up}, Init::constant(0.0)}};
    if (has_output_gate())
      tensors_.push_back({"binary_main_gate_weight.weight", Place::kOwn, {1, 1}, Init::constant(0.0)});
  }

  GateShape gates() const override {
    if (options_.layout != PairLayout::kPairs) return {GateKind::kFlat, {{options_.experts, options_.experts}}};
    return {GateKind::kPairs, {{options_.down, options_.down}, {options_.up, options_.up}}};
  }
  int64_t down_rows() const override { return options_.down; }
  int64_t up_rows() const override { return options_.up; }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  double dropout() const override { return options_.dropout; }
  int64_t mix_width() const override { return std::max(options_.experts, options_.up); }

  at::Tensor mix(const at::Tensor& h, const Gates& gates, const std::vector<at::Tensor>& own,
                 const TokenRows& rows) const override {
    at::Tensor m = all_gates(gates.levels[0], options_.experts).flatten(1);  // [T, E]
    // A token whose expert has no room keeps the base's output.
    if (gates.levels[0].overflow.defined()) m = m * gates.levels[0].overflow.logical_not().unsqueeze(1);
    const at::Tensor z = weigh(h, m);  // [T, r2]
    if (!has_output_gate()) return z;
    const at::Tensor gamma = at::sigmoid(own[2] * options_.gate_scale).reshape({1});
    if (rows.recorder != nullptr && rows.recorder->keep_details && rows.first == 0)
      rows.recorder->details.emplace_back("gamma", gamma);
    return z * gamma;
  }

  bool linear_for_fixed_gates() const override { return true; }
  at::Tensor expert_products(const SiteTensors& tensors, int64_t) const override {
    const at::Tensor &a = tensors.down, &b = tensors.up;
    if (options_.layout == PairLayout::kPairs)  // <a_i·b_jᵀ, a_k·b_lᵀ> = <a_i, a_k>·<b_j, b_l>
      return at::kron(at::mm(a, a.t()), at::mm(b, b.t()));
    // Rank e + n·k of all is rank k of expert e.
    const auto experts = [&](const at::Tensor& rows) {
      return rows.view({-1, options_.experts, rows.size(1)}).transpose(0, 1);
    };
    return update_products(experts(a), experts(b));
  }

  StructureCost cost(const Site& site) const override {
    const int64_t parameters = options_.down * site.d_in + options_.up * site.d_out;
    const int64_t mixing = options_.layout == PairLayout::kPairs ? options_.experts : options_.down;
    const double flops = 2.0 * static_cast<double>(parameters + mixing);
    return {parameters + (has_output_gate() ? 1 : 0), flops, flops};
  }

  std::string why_not_mergeable() const override {
    return "every token mixes the pairs with weights of its own, so there is no one matrix to add to a weight";
  }

 private:
  bool has_output_gate() const { return options_.layout != PairLayout::kInterleaved; }

  // h [T, r1], m [T, E] -> [T, r2].
  at::Tensor weigh(const at::Tensor& h, const at::Tensor& m) const {
    const int64_t tokens = h.size(0);
    switch (options_.layout) {
      case PairLayout::kPairs:
        return (h.unsqueeze(2) * m.reshape({tokens, options_.down, options_.up})).sum(1);
      case PairLayout::kMatched:
        return h * m;
      case PairLayout::kInterleaved:
        break;
    }
    return (h.reshape({tokens, -1, options_.experts}) * m.unsqueeze(1)).flatten(1);
  }

  PairOptions options_;
  std::vector<TensorSpec> tensors_;
};

PairLayout read_layout(const JsonReader& options) {
  const auto layout = options.get_or<std::string>("layout", "pairs");
  if (layout == "pairs") return PairLayout::kPairs;
  if (layout == "matched") return PairLayout::kMatched;
  MOREX_CHECK(layout == "interleaved", ErrorKind::kConfig,
              "[experts] layout must be pairs, matched or interleaved, got '{}'.{}", layout,
              did_you_mean(layout, {"pairs", "matched", "interleaved"}));
  return PairLayout::kInterleaved;
}

}  // namespace

std::unique_ptr<Structure> make_rank_one_pairs(const MakeStructure& from) {
  const JsonReader options(from.options, "experts", ErrorKind::kConfig);
  options.refuse_unknown_keys({"kind", "layout", "rank_allocation", "num_experts", "gate_scale", "lora_dropout"});
  PairOptions made;
  made.layout = read_layout(options);
  const auto ranks = options.get<std::vector<int64_t>>("rank_allocation");
  MOREX_CHECK(ranks.size() == 2 && ranks[0] > 0 && ranks[1] > 0, ErrorKind::kConfig,
              "[experts] rank_allocation must be two positive numbers, of down and of up vectors, got {}",
              options.raw("rank_allocation").dump());
  made.down = ranks[0], made.up = ranks[1];
  const bool pairs = made.layout == PairLayout::kPairs;
  MOREX_CHECK(pairs || made.down == made.up, ErrorKind::kConfig,
              "[experts] layout {} joins each down vector to one up vector: rank_allocation must hold equal numbers, "
              "got {}",
              options.get<std::string>("layout"), options.raw("rank_allocation").dump());
  made.experts = pairs ? made.down * made.up : made.down;
  if (made.layout == PairLayout::kInterleaved) {
    made.experts = options.get_or<int64_t>("num_experts", 8);
    MOREX_CHECK(made.experts > 0 && made.down % made.experts == 0, ErrorKind::kConfig,
                "[experts] num_experts must divide the rank {}, got {}", made.down, made.experts);
  } else {
    MOREX_CHECK(
        !options.has("num_experts"), ErrorKind::kConfig,
        "[experts] num_experts belongs to layout interleaved; otherwise rank_allocation says how many there are");
  }
  made.gate_scale = options.get_or<double>("gate_scale", 100.0);
  MOREX_CHECK(std::isfinite(made.gate_scale), ErrorKind::kConfig, "[experts] gate_scale must be a finite number");
  made.dropout = options.get_or<double>("lora_dropout", 0.0);
  MOREX_CHECK(made.dropout >= 0.0 && made.dropout < 1.0, ErrorKind::kConfig,
              "[{}] lora_dropout must be at least 0 and below 1, got {}", from.site.module, made.dropout);
  return std::make_unique<RankOnePairs>(from.site, made);
}

}  // namespace morex::adapters
