// Switch routing (Fedus et al., arXiv 2101.03961; mixlora-switch of MoE-PEFT): the most probable expert, weighted by
// its probability. An expert takes at most expert_capacity tokens of a sequence, in their order; what happens to the
// others is the structure's. Losses ignore the capacity.
// DEVIATION: the stored code returns its input unchanged outside training; here evaluation does what training does.
// With a cache the capacity counts the tokens of one call.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/zeros.h>

#include "adapters/router/table.h"
#include "base/error.h"
#include "ops/top_k.h"

namespace morex::adapters {
namespace {

class SwitchExpert : public FlatChoice {
 public:
  explicit SwitchExpert(int64_t capacity) : capacity_(capacity) {}

  bool whole_sequences() const override { return true; }
  bool sums_to_one() const override { return false; }

  Chosen choose(const FlatInput& input, const TokenRows& rows) const override {
    const ops::TopK top = ops::top_k(input.pi, 1);
    const int64_t experts = input.pi.size(1);
    Chosen chosen;
    chosen.ids = top.ids;
    chosen.weights = top.values;
    // Place of each token in its expert's queue, from 1: [sequences, length, E].
    const at::Tensor taken = at::zeros({rows.count, experts}, top.ids.options()).scatter(1, top.ids, 1);
    const at::Tensor place = at::cumsum(taken.view({-1, rows.ctx.length, experts}), 1).view({rows.count, experts});
    chosen.overflow = at::gt(place.gather(1, top.ids).squeeze(1), capacity_);  // [n]
    return chosen;
  }

 private:
  int64_t capacity_;
};

}  // namespace

int64_t switch_picks(const Json&) { return 1; }

std::unique_ptr<FlatChoice> make_switch_choice(const MakeChoice& from) {
  const JsonReader options = read_flat_options(from.options, {"expert_capacity"});
  const auto capacity = options.get_or<int64_t>("expert_capacity", 32);
  MOREX_CHECK(capacity >= 0, ErrorKind::kConfig, "[router] expert_capacity must be at least 0, got {}", capacity);
  return std::make_unique<SwitchExpert>(capacity);
}

}  // namespace morex::adapters
