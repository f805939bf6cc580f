// E LoRA pairs on one projection, weighted per token: y += s·Σ_e g_e·B_e·A_e·x (MoLA, arXiv 2402.08562; LoRAMoE,
// arXiv 2312.09979). shared_a: one A for all (HydraLoRA, arXiv 2404.19245). split_rank: r is the total, an expert has
// r/E (MOELoRA, arXiv 2310.18339). s = alpha/r, or alpha/sqrt(r) with use_rslora, r as given. num_experts may be a list
// over decoder layers (MoLA). Parameters: E·r·(d_in + d_out); shared A: r·d_in + E·r·d_out; split: r·(d_in + d_out).
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <cmath>

#include "adapters/expert_similarity.h"
#include "adapters/lora_sources.h"
#include "adapters/structure/execution.h"
#include "adapters/structure/lora_options.h"
#include "adapters/structure/table.h"
#include "base/error.h"
#include "ops/scale_experts.h"

namespace morex::adapters {
namespace {

// What costs are stated for.
constexpr int64_t kTrainingTokens = 1024;

struct ExpertOptions {
  int64_t experts = 0, rank = 0;  // rank of one expert
  double scale = 1.0, dropout = 0.0;
  bool shared_a = false;
  Execution execution = Execution::kAuto;
  Init a, b;
};

class LowRankExperts : public Structure {
 public:
  LowRankExperts(const Site& site, ExpertOptions options, int64_t picks, const std::shared_ptr<LoraSources>& start)
      : options_(std::move(options)), picks_(picks) {
    const int64_t r = options_.rank;
    if (options_.shared_a) tensors_.push_back({"lora_A.weight", Place::kDown, {r, site.d_in}, options_.a});
    for (int64_t e = 0; e < options_.experts; ++e) {
      const std::string name = "experts." + std::to_string(e);
      if (!options_.shared_a)
        tensors_.push_back({name + ".lora_A.weight", Place::kDown, {r, site.d_in}, options_.a, e * r});
      tensors_.push_back({name + ".lora_B.weight", Place::kUp, {site.d_out, r}, options_.b, e * r});
      if (start == nullptr) continue;
      const std::string& module = site.module;
      tensors_[tensors_.size() - 2].init.pattern = [=] { return start->a(e, module); };
      tensors_.back().init.pattern = [=, scale = options_.scale] { return start->b(e, module, scale); };
    }
  }

  GateShape gates() const override { return {GateKind::kFlat, {{options_.experts, picks_}}}; }
  int64_t down_rows() const override { return options_.shared_a ? options_.rank : up_rows(); }
  int64_t up_rows() const override { return options_.experts * options_.rank; }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  double dropout() const override { return options_.dropout; }

  at::Tensor mix(const at::Tensor& h, const Gates& gates, const std::vector<at::Tensor>&,
                 const TokenRows&) const override {
    const LevelGates& level = gates.levels[0];
    const at::Tensor ids = level.ids.defined() ? level.ids.squeeze(1) : at::Tensor();  // [T, k]
    return ops::scale_experts({h, with_room(level, level.weights.squeeze(1)), ids, options_.shared_a}, options_.experts,
                              options_.scale);
  }
  bool mixes_activations() const override { return true; }
  bool gathers(const at::Tensor& x) const override {
    // Measured on CPUs only.
    const bool may = options_.execution != Execution::kAuto || x.is_cpu();
    return may && gathers(x.size(0), x.scalar_type());
  }
  at::Tensor expert_weights(const Gates& gates) const override {
    const LevelGates& level = gates.levels[0];
    return with_room(level, all_gates(level, options_.experts).squeeze(1)) * options_.scale;  // [T, E]
  }

  at::Tensor expert_products(const SiteTensors& tensors, int64_t) const override {
    const int64_t r = options_.rank;
    return update_products(tensors.down.view({-1, r, tensors.down.size(1)}),
                           tensors.up.view({options_.experts, r, tensors.up.size(1)}));
  }

  bool linear_for_fixed_gates() const override { return true; }
  StructureCost cost(const Site& site) const override;
  std::string why_not_mergeable() const override {
    return "the gates of a mixture depend on the token, so its update is no matrix that could be added to a weight";
  }

 private:
  // weights [T, …]: a token whose expert has no room keeps the base's output.
  static at::Tensor with_room(const LevelGates& level, const at::Tensor& weights) {
    return level.overflow.defined() ? weights * level.overflow.logical_not().unsqueeze(1) : weights;
  }
  bool gathers(int64_t tokens, at::ScalarType type) const;

  ExpertOptions options_;
  int64_t picks_;  // experts per token; 0: all, or the token decides
  std::vector<TensorSpec> tensors_;
};

bool LowRankExperts::gathers(int64_t tokens, at::ScalarType type) const {
  if (options_.execution != Execution::kAuto || options_.shared_a) return options_.execution == Execution::kGather;
  return gather_pays({options_.experts, picks_, options_.rank}, tokens, type);
}

StructureCost LowRankExperts::cost(const Site& site) const {
  const int64_t r = options_.rank, used = picks_ > 0 ? picks_ : options_.experts;
  const auto parameters = [&](int64_t experts) {
    return r * (site.d_in * (options_.shared_a ? 1 : experts) + site.d_out * experts);
  };
  // Down, one multiplication per rank, up.
  const auto flops = [&](int64_t experts) {
    return 2.0 * static_cast<double>(parameters(experts)) + static_cast<double>(experts * r);
  };
  return {parameters(used), flops(gathers(kTrainingTokens, at::kFloat) ? used : options_.experts), flops(used)};
}

int64_t read_experts(const JsonReader& options, const Site& site) {
  const Json& given = options.raw("num_experts");
  int64_t experts = 8;
  if (given.is_array()) {
    const auto list = options.get<std::vector<int64_t>>("num_experts");
    MOREX_CHECK(site.layer >= 0 && site.layer < static_cast<int64_t>(list.size()), ErrorKind::kConfig,
                "[experts] num_experts must be a number or have one for every decoder layer, got {} numbers and {} in "
                "layer {}",
                list.size(), site.module, site.layer);
    experts = list[static_cast<size_t>(site.layer)];
  } else {
    experts = options.get_or<int64_t>("num_experts", experts);
  }
  MOREX_CHECK(experts > 0, ErrorKind::kConfig, "[experts] num_experts must be positive, got {}", given.dump());
  return experts;
}

}  // namespace

std::unique_ptr<Structure> make_low_rank_experts(const MakeStructure& from) {
  const JsonReader options(from.options, "experts", ErrorKind::kConfig);
  options.refuse_unknown_keys({"kind", "r", "lora_alpha", "lora_dropout", "use_rslora", "init_lora_weights", "init_std",
                               "num_experts", "shared_a", "split_rank", "execution", "init_from"});
  ExpertOptions made;
  made.experts = read_experts(options, from.site);
  made.shared_a = options.get_or<bool>("shared_a", false);
  made.execution = read_execution(options);
  MOREX_CHECK(made.execution != Execution::kGather || !made.shared_a, ErrorKind::kConfig,
              "[experts] execution gather needs experts of their own down rows, shared_a has one for all");
  const LoraOptions lora = read_lora_options(options, from.site.module);
  made.rank = lora.rank;
  made.scale = lora.scale;
  made.dropout = lora.dropout;
  if (options.get_or<bool>("split_rank", false)) {
    MOREX_CHECK(lora.rank % made.experts == 0, ErrorKind::kConfig,
                "[experts] r must be a multiple of num_experts {} with split_rank, got {}", made.experts, lora.rank);
    made.rank = lora.rank / made.experts;
  }

  made.a = Init::kaiming(from.site.d_in);
  made.b = Init::constant(0.0);
  const Json& start = options.raw("init_lora_weights");
  if (start == Json(false)) {
    made.b = Init::kaiming(made.rank);
  } else {
    MOREX_CHECK(start.is_null() || start == Json(true), ErrorKind::kConfig,
                "[experts] init_lora_weights must be true or false for experts of kind low_rank_experts, got {}",
                start.dump());
  }
  if (const auto deviation = options.find<double>("init_std")) {
    MOREX_CHECK(std::isfinite(*deviation) && *deviation >= 0.0, ErrorKind::kConfig,
                "[experts] init_std must be a finite number, at least 0, got {}", *deviation);
    made.a = Init::normal(*deviation);
  }
  if (from.start != nullptr) {
    MOREX_CHECK(
        !made.shared_a && !options.get_or<bool>("split_rank", false) && start.is_null() && !options.has("init_std"),
        ErrorKind::kConfig,
        "[experts] init_from says what each expert's A and B are: it does not go with shared_a, split_rank, "
        "init_std or init_lora_weights");
    from.start->claim(from.site.module, made.rank, from.site.d_in, from.site.d_out);
  }
  return std::make_unique<LowRankExperts>(from.site, std::move(made), from.picks, from.start);
}

}  // namespace morex::adapters
