// LoRA (Hu et al., arXiv 2106.09685): y += s·B·A·x with A [r, d_in], B [d_out, r], s = alpha/r, or alpha/sqrt(r) with
// use_rslora (Kalajdzievski, arXiv 2312.03732). A starts Kaiming-uniform, B at zero, so that a fresh adapter is the
// base. Parameters: r·(d_in + d_out). Its variants:
// mixer (MoSLoRA, Wu et al., arXiv 2406.11909): s·B·M·A·x, M [r, r] Kaiming-uniform. Parameters: + r².
// use_dora (Liu et al., arXiv 2402.09353): (m ⊘ n) ∘ (W·x + s·B·A·x), m [d_out] trainable and the row norms of W at the
// start, n those of W + s·B·A, constants in the backward pass. Parameters: + d_out.
// init_lora_weights pissa (Meng et al., arXiv 2404.02948): A and B start as W's largest singular directions, and the
// rest of W stands in its place.
#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <utility>

#include "adapters/structure/lora_options.h"
#include "adapters/structure/pissa.h"
#include "adapters/structure/row_norms.h"
#include "adapters/structure/table.h"
#include "ops/wide.h"

namespace morex::adapters {
namespace {

struct LowRankOptions : LoraOptions {
  bool mixer = false, dora = false, pissa = false;
  Init a, b;
};

class LowRank : public Structure {
 public:
  LowRank(const Site& site, LowRankOptions options, const nn::LinearMember* base) : options_(std::move(options)) {
    const int64_t r = options_.rank;
    tensors_ = {{"lora_A.weight", Place::kDown, {r, site.d_in}, options_.a},
                {"lora_B.weight", Place::kUp, {site.d_out, r}, options_.b}};
    if (options_.mixer) {
      mixer_ = tensors_.size();
      tensors_.push_back({"lora_AB.weight", Place::kOwn, {r, r}, Init::kaiming(r)});
    }
    if (options_.dora) {
      magnitude_ = tensors_.size();
      Init start;
      start.pattern = [base, site] {
        const at::Tensor& weight = base->weight.value;
        const at::TensorOptions wide = weight.options().dtype(ops::wide_type(weight.scalar_type()));
        const at::Tensor b = at::zeros({1, site.d_out}, wide), a = at::zeros({1, site.d_in}, wide);
        return row_norms(base->weight, b, a, 1.0);
      };
      tensors_.push_back({"lora_magnitude_vector", Place::kOwn, {site.d_out}, std::move(start)});
    }
  }

  int64_t down_rows() const override { return options_.rank; }
  int64_t up_rows() const override { return options_.rank; }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  double dropout() const override { return options_.dropout; }

  at::Tensor mix(const at::Tensor& h, const Gates&, const std::vector<at::Tensor>& own,
                 const TokenRows&) const override {
    const at::Tensor mixed = options_.mixer ? at::mm(h, own[mixer_].t().to(h.scalar_type())) : h;  // [T, r]
    return options_.scale == 1.0 ? mixed : mixed * options_.scale;
  }

  bool linear_for_fixed_gates() const override { return true; }
  bool scales_output() const override { return options_.dora; }
  at::Tensor output_scale(const SiteTensors& tensors, const nn::LinearMember& base, Recorder* recorder) const override {
    const at::Tensor norms = norms_.of(base.weight, tensors.up, mixed_down(tensors), options_.scale);
    if (recorder != nullptr) recorder->details.emplace_back("row_norm", norms);
    return tensors.own[magnitude_] / norms;
  }

  bool moves_base() const override { return options_.pissa; }
  at::Tensor moved_base(const SiteTensors& start, const nn::LinearMember& base) const override {
    return residual_weight(base.weight, {start.down, start.up.t()}, options_.scale);
  }

  StructureCost cost(const Site& site) const override {
    const int64_t r = options_.rank;
    const int64_t products = r * (site.d_in + site.d_out) + (options_.mixer ? r * r : 0);
    const int64_t scaled = options_.dora ? site.d_out : 0;
    const double flops = static_cast<double>(2 * products + scaled);
    return {products + scaled, flops, flops};
  }

  std::string why_not_mergeable() const override { return ""; }
  at::Tensor merged_update(const SiteTensors& tensors, const nn::LinearMember& base) const override {
    const at::Tensor update = at::mm(tensors.up.t(), mixed_down(tensors)) * options_.scale;
    if (!options_.dora) return update;
    const at::Tensor w = base.weight.rows(0, base.weight.out_features(), update.scalar_type());
    return (w + update) * output_scale(tensors, base, nullptr).detach().unsqueeze(1) - w;
  }

 private:
  // The matrix that B multiplies: A, or M·A [r, d_in].
  at::Tensor mixed_down(const SiteTensors& tensors) const {
    return options_.mixer ? at::mm(tensors.own[mixer_].detach(), tensors.down) : tensors.down;
  }

  LowRankOptions options_;
  size_t mixer_ = 0, magnitude_ = 0;  // numbers into tensors_
  std::vector<TensorSpec> tensors_;
  mutable RowNorms norms_;
};

// PEFT's choices: true = Kaiming A, zero B; "gaussian" = N(0, 1/r²) A, zero B; false = Kaiming A and B; "pissa".
void read_start(const MakeStructure& from, const Json& start, LowRankOptions& options) {
  options.a = Init::kaiming(from.site.d_in), options.b = Init::constant(0.0);
  if (start == Json("gaussian")) {
    options.a = Init::normal(1.0 / static_cast<double>(options.rank));
  } else if (start == Json(false)) {
    options.b = Init::kaiming(options.rank);
  } else if (start == Json("pissa")) {
    MOREX_CHECK(!options.mixer && !options.dora, ErrorKind::kConfig,
                "[experts] init_lora_weights pissa goes with neither mixer nor use_dora");
    MOREX_CHECK(from.base != nullptr, ErrorKind::kConfig, "[experts] init_lora_weights pissa needs the base's weight");
    MOREX_CHECK(
        !from.base->weight.in_8bit(), ErrorKind::kConfig,
        "[experts] init_lora_weights pissa puts what is left of {} in its place, which load_in_8bit has rounded "
        "to 8 bits. Hint: load_in_8bit: false, or another init_lora_weights",
        from.base->module);
    options.pissa = true;
    // One decomposition serves both: B's pattern follows A's.
    const auto factors = std::make_shared<LowRankFactors>();
    const auto decompose = [=, base = from.base, rank = options.rank, scale = options.scale] {
      if (!factors->a.defined()) *factors = principal_factors(base->weight, rank, scale);
    };
    options.a.pattern = [=] {
      *factors = {};
      decompose();
      return factors->a;
    };
    options.b.pattern = [=] {
      decompose();
      return std::exchange(*factors, {}).b;
    };
  } else {
    MOREX_CHECK(start.is_null() || start == Json(true), ErrorKind::kConfig,
                "[experts] init_lora_weights must be true, false, \"gaussian\" or \"pissa\", got {}", start.dump());
  }
}

}  // namespace

std::unique_ptr<Structure> make_low_rank(const MakeStructure& from) {
  const JsonReader json(from.options, "experts", ErrorKind::kConfig);
  json.refuse_unknown_keys(
      {"kind", "r", "lora_alpha", "lora_dropout", "use_rslora", "init_lora_weights", "use_dora", "mixer"});
  LowRankOptions options;
  static_cast<LoraOptions&>(options) = read_lora_options(json, from.site.module);
  options.mixer = json.get_or<bool>("mixer", false);
  options.dora = json.get_or<bool>("use_dora", false);
  MOREX_CHECK(!options.dora || from.base != nullptr, ErrorKind::kConfig, "[experts] use_dora needs the base's weight");
  read_start(from, json.raw("init_lora_weights"), options);
  return std::make_unique<LowRank>(from.site, std::move(options), from.base);
}

}  // namespace morex::adapters
