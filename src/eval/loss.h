// Mean token loss and perplexity of a dataset.
#pragma once
#include <cmath>
#include <cstdint>
#include <functional>

#include "data/example.h"
#include "models/causal_lm.h"

namespace morex::eval {

struct LossResult {
  double nll_sum = 0;
  int64_t tokens = 0;  // supervised
  double mean() const { return tokens > 0 ? nll_sum / static_cast<double>(tokens) : 0; }
  double perplexity() const { return std::exp(mean()); }
};

// Sums over all supervised tokens, in an order that does not depend on batch_size's grouping beyond rounding.
// No gradients. progress(done, total) is called after each batch when given.
LossResult evaluate_loss(const models::CausalLm& model, const std::vector<data::Example>& examples, int64_t batch_size,
                         int64_t pad_id, const std::function<void(int64_t, int64_t)>& progress = {});

}  // namespace morex::eval
