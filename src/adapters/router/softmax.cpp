// Every expert, weighted by its probability (LoRAMoE, arXiv 2312.09979; HydraLoRA, arXiv 2404.19245).
#include "adapters/router/table.h"

namespace morex::adapters {
namespace {

class AllExperts : public FlatChoice {
 public:
  Chosen choose(const FlatInput& input, const TokenRows&) const override {
    Chosen chosen;
    chosen.weights = input.pi;  // [n, E]
    return chosen;
  }
};

}  // namespace

std::unique_ptr<FlatChoice> make_softmax_choice(const MakeChoice& from) {
  read_flat_options(from.options, {});
  return std::make_unique<AllExperts>();
}

}  // namespace morex::adapters
