// A routing trace as JSON: the same keys for the file that programs read and for the page, where numbers of tokens are
// packed.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

#include "base/json.h"
#include "report/routing_trace.h"

namespace morex::report {

struct TraceLabels {
  std::string adapter, model, source;  // folder, base, where the sequences come from
};

struct TraceCut {
  int64_t shown = 0;    // the first tokens, which are written with their gates
  bool cosines = true;  // with the similarity matrices
};

// How a [S, n] or [E, E] tensor of float32, float64 or int64 is written.
using PackTensor = std::function<Json(const at::Tensor&)>;

// {adapter, model, source, tokens, shown, summary, sequences: [{name, length, ids, texts, cluster_scores}], sites:
// [{module, layer, shape, method, experts, router, prior, gates: [{level, experts, active, share, weight, entropy,
// entropy_after, dead, similarity, cosines, tokens: {ids, weights, main, firsts}, …}], flows, paths, omega, gamma}]}.
Json describe_trace(const RoutingTrace& trace, const TraceLabels& labels, const TraceCut& cut, const PackTensor& pack);

// Rows of numbers, rounded to 4 places; numbers that do not exist are null.
Json plain_rows(const at::Tensor& values);

}  // namespace morex::report
