// Many gates' numbers as one line.
#pragma once
#include <cstdint>
#include <vector>

#include "nn/routing_tally.h"

namespace morex::adapters {

// Means over the gates that counted rows; NaN where none has the number.
struct RoutingSummary {
  double entropy = 0, entropy_after = 0;
  double max_share = 0;      // of the busiest expert: its part of all choices of its gate
  double max_weight = 0;     // of the heaviest expert: its part of the mean weights' magnitudes
  double similarity = 0;     // mean cosine between experts' updates
  int64_t dead_experts = 0;  // a number: experts that no row chose
};

// The experts of a gate that counted rows, but none that chose them.
std::vector<int64_t> dead_experts(const nn::GateNumbers& gate);

// `similarities`: mean_cosine of each gate, NaN where there is none; as many as gates.
RoutingSummary summarise(const std::vector<nn::GateNumbers>& gates, const std::vector<double>& similarities);

}  // namespace morex::adapters
