// What the gates did since the last line of the metrics, as the logs write it.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "nn/routing_tally.h"

namespace morex::train {

struct RoutingLog {
  Json metrics;  // a few keys for metrics.jsonl: routing_entropy … expert_similarity, those that there are
  Json line;     // for routing.jsonl: {"gates": [{site, level, rows, share, weight, …}]}, rounded to 4 places
  std::vector<std::pair<std::string, double>> scalars;  // per decoder layer, for TensorBoard
};

// `cosines` as AdapterSet::expert_cosines() gives them, one for each of the tally's gates.
RoutingLog describe_routing(const nn::RoutingTally& tally, const std::vector<at::Tensor>& cosines);

}  // namespace morex::train
