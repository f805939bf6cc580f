// The k most probable experts, their probabilities divided by their sum (MoLA, arXiv 2402.08562; MixLoRA).
#include "ops/top_k.h"

#include <ATen/core/Tensor.h>

#include "adapters/router/table.h"
#include "base/error.h"

namespace morex::adapters {
namespace {

constexpr int64_t kTopK = 2;

class TopKExperts : public FlatChoice {
 public:
  TopKExperts(int64_t k, bool renormalise, int64_t experts)
      : k_(k), renormalise_(renormalise), sums_to_one_(renormalise || k == experts) {}

  bool sums_to_one() const override { return sums_to_one_; }
  Chosen choose(const FlatInput& input, const TokenRows&) const override {
    const ops::TopK top = ops::top_k(input.pi, k_, renormalise_);
    Chosen chosen;
    chosen.ids = top.ids;
    chosen.weights = top.values;  // [n, k]
    return chosen;
  }

 private:
  int64_t k_;
  bool renormalise_, sums_to_one_;
};

}  // namespace

int64_t top_k_picks(const Json& options) {
  return JsonReader(options, "router", ErrorKind::kConfig).get_or<int64_t>("top_k", kTopK);
}

std::unique_ptr<FlatChoice> make_top_k_choice(const MakeChoice& from) {
  const JsonReader options = read_flat_options(from.options, {"top_k", "renormalise"});
  const int64_t k = top_k_picks(from.options);
  MOREX_CHECK(k >= 1 && k <= from.experts, ErrorKind::kConfig,
              "[router] top_k must be at least 1 and at most the number of experts, {} at {}, got {}", from.experts,
              from.site.module, k);
  const bool renormalise = options.get_or<bool>("renormalise", true);
  if (k == 1 && renormalise && from.experts > 1)
    from.warnings.add("router:top_k",
                      "[router] top_k 1 with renormalise makes every gate the constant 1, so that the router learns "
                      "from losses on the routing only. Hint: renormalise: false");
  return std::make_unique<TopKExperts>(k, renormalise, from.experts);
}

}  // namespace morex::adapters
