// DynMoLE (arXiv 2504.00661): the most probable experts while their mass stays within top_p, at least keep_top_k of
// them; all experts where the normalised entropy of the distribution exceeds entropy_threshold (never with 1 or more,
// nor with an entropy_index of 0 or less). Gates are the probabilities as they are. Unlike top_p, the expert that
// crosses top_p is left out.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/le.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "adapters/router/table.h"
#include "base/error.h"
#include "ops/top_k.h"

namespace morex::adapters {
namespace {

struct EntropyOptions {
  EntropyForm form;
  double threshold = 0.9, top_p = 0.75;
  int64_t keep = 2;
};

class EntropyExperts : public FlatChoice {
 public:
  EntropyExperts(EntropyOptions options, bool all) : options_(options), all_(all) {}

  bool sums_to_one() const override { return all_; }
  Chosen choose(const FlatInput& input, const TokenRows&) const override {
    Chosen chosen;
    chosen.entropy = normalised_entropy(input.pi, options_.form);  // [n]
    const ops::TopK sorted = ops::top_k(input.pi.detach(), input.pi.size(1));
    at::Tensor kept = at::le(running_sums(sorted.values), options_.top_p);
    kept.narrow(1, 0, options_.keep).fill_(true);
    if (options_.threshold < 1.0 && options_.form.index > 0.0)
      kept = kept.logical_or(at::gt(chosen.entropy.detach(), options_.threshold).unsqueeze(1));
    chosen.selected = at::zeros_like(sorted.values).scatter(1, sorted.ids, kept.to(input.pi.scalar_type()));
    chosen.weights = input.pi * chosen.selected;
    chosen.shares = chosen.weights;
    return chosen;
  }

 private:
  EntropyOptions options_;
  bool all_;  // keep_top_k is every expert
};

}  // namespace

std::unique_ptr<FlatChoice> make_entropy_choice(const MakeChoice& from) {
  const JsonReader options = read_flat_options(
      from.options, {"top_p", "keep_top_k", "entropy_threshold", "entropy_type", "entropy_index", "entropy_eps"});
  EntropyOptions made;
  made.form = read_entropy_form(options);
  made.threshold = options.get_or<double>("entropy_threshold", made.threshold);
  MOREX_CHECK(std::isfinite(made.threshold) && made.threshold >= 0.0, ErrorKind::kConfig,
              "[router] entropy_threshold must be a finite number, at least 0, got {}", made.threshold);
  made.top_p = options.get_or<double>("top_p", made.top_p);
  MOREX_CHECK(made.top_p >= 0.0 && made.top_p <= 1.0, ErrorKind::kConfig,
              "[router] top_p must be at least 0 and at most 1, got {}", made.top_p);
  made.keep = options.get_or<int64_t>("keep_top_k", std::min(made.keep, from.experts));
  MOREX_CHECK(made.keep >= 0 && made.keep <= from.experts, ErrorKind::kConfig,
              "[router] keep_top_k must be at least 0 and at most the number of experts, {} at {}, got {}",
              from.experts, from.site.module, made.keep);
  return std::make_unique<EntropyExperts>(made, made.keep == from.experts);
}

}  // namespace morex::adapters
