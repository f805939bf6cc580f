// LoRA (Hu et al., arXiv 2106.09685): y += s·B·A·x with A [r, d_in], B [d_out, r], s = alpha/r, or alpha/sqrt(r) with
// use_rslora (Kalajdzievski, arXiv 2312.03732). A starts Kaiming-uniform, B at zero, so that a fresh adapter is the
// base. Parameters: r·(d_in + d_out).
#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>

#include <cmath>

#include "adapters/structure/table.h"

namespace morex::adapters {
namespace {

class LowRank : public Structure {
 public:
  LowRank(const Site& site, int64_t rank, double scale, double dropout, Init a, Init b)
      : rank_(rank), scale_(scale), dropout_(dropout) {
    tensors_ = {{"lora_A.weight", Place::kDown, {rank, site.d_in}, std::move(a)},
                {"lora_B.weight", Place::kUp, {site.d_out, rank}, std::move(b)}};
  }

  int64_t down_rows() const override { return rank_; }
  int64_t up_rows() const override { return rank_; }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  double dropout() const override { return dropout_; }

  at::Tensor mix(const at::Tensor& h, const Gates&, const std::vector<at::Tensor>&, const TokenRows&) const override {
    return scale_ == 1.0 ? h : h * scale_;  // [T, r]
  }

  StructureCost cost(const Site& site) const override {
    const int64_t parameters = rank_ * (site.d_in + site.d_out);
    return {parameters, 2.0 * static_cast<double>(parameters), 2.0 * static_cast<double>(parameters)};
  }

  std::string why_not_mergeable() const override { return ""; }
  at::Tensor merged_update(const at::Tensor& down, const at::Tensor& up) const override {
    return at::mm(up.t(), down) * scale_;
  }

 private:
  int64_t rank_;
  double scale_, dropout_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace

std::unique_ptr<Structure> make_low_rank(const MakeStructure& from) {
  const JsonReader options(from.options, "experts", ErrorKind::kConfig);
  options.refuse_unknown_keys({"kind", "r", "lora_alpha", "lora_dropout", "use_rslora", "init_lora_weights"});
  const int64_t rank = options.get_or<int64_t>("r", 8);
  MOREX_CHECK(rank > 0, ErrorKind::kConfig, "[{}] r must be positive, got {}", from.site.module, rank);
  const double alpha = options.get_or<double>("lora_alpha", 8.0);
  MOREX_CHECK(std::isfinite(alpha), ErrorKind::kConfig, "[{}] lora_alpha must be a finite number", from.site.module);
  const double dropout = options.get_or<double>("lora_dropout", 0.0);
  MOREX_CHECK(dropout >= 0.0 && dropout < 1.0, ErrorKind::kConfig,
              "[{}] lora_dropout must be at least 0 and below 1, got {}", from.site.module, dropout);

  const auto wide = static_cast<double>(rank);
  const double scale = alpha / (options.get_or<bool>("use_rslora", false) ? std::sqrt(wide) : wide);
  // PEFT's choices: true = Kaiming A, zero B; "gaussian" = N(0, 1/r²) A, zero B; false = Kaiming A and B.
  Init a = Init::kaiming(from.site.d_in), b = Init::constant(0.0);
  const Json& start = options.raw("init_lora_weights");
  if (start == Json("gaussian")) {
    a = Init::normal(1.0 / wide);
  } else if (start == Json(false)) {
    b = Init::kaiming(rank);
  } else {
    MOREX_CHECK(start.is_null() || start == Json(true), ErrorKind::kConfig,
                "[experts] init_lora_weights must be true, false or \"gaussian\", got {}", start.dump());
  }
  return std::make_unique<LowRank>(from.site, rank, scale, dropout, std::move(a), std::move(b));
}

}  // namespace morex::adapters
