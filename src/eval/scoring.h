// Log-likelihoods of continuations.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "eval/requests.h"
#include "models/causal_lm.h"

namespace morex::eval {

struct Score {
  double log_likelihood = 0.0;  // sum over the continuation's ids; 0 for an empty one
  bool greedy = true;           // every id is the most probable one where it stands; true for an empty continuation
};

// One score per request, in their order. Requests with the same prompt (and facts) share a row: the prompt is read once
// and every continuation sees it and itself alone; where an adapter reads other tokens only equal inputs share one.
// Longest row first, right padded, at most tokens_per_batch ids a forward (one row at least); only the positions that
// are scored go through the head.
// Log-softmax in float32 (float64 for a float64 model). No gradients. Throws Error(kNumeric) for a score that is not
// finite. progress(done, total) counts requests.
std::vector<Score> score_requests(const models::CausalLm& model, const std::vector<Request>& requests,
                                  int64_t tokens_per_batch, const std::function<void(int64_t, int64_t)>& progress = {});

}  // namespace morex::eval
