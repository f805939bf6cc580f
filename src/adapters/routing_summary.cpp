#include "adapters/routing_summary.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace morex::adapters {
namespace {

class Mean {
 public:
  void add(double value) {
    if (std::isfinite(value)) sum_ += value, count_ += 1;
  }
  double value() const { return count_ > 0 ? sum_ / count_ : std::numeric_limits<double>::quiet_NaN(); }

 private:
  double sum_ = 0, count_ = 0;
};

// The largest magnitude's part of all of them; NaN when they are all 0.
double largest_part(const std::vector<double>& values) {
  double sum = 0, largest = 0;
  for (const double value : values) sum += std::abs(value), largest = std::max(largest, std::abs(value));
  return sum > 0 ? largest / sum : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::vector<int64_t> dead_experts(const nn::GateNumbers& gate) {
  std::vector<int64_t> dead;
  for (size_t e = 0; gate.rows > 0 && e < gate.share.size(); ++e)
    if (gate.share[e] == 0) dead.push_back(static_cast<int64_t>(e));
  return dead;
}

RoutingSummary summarise(const std::vector<nn::GateNumbers>& gates, const std::vector<double>& similarities) {
  MOREX_ASSERT(gates.size() == similarities.size());
  Mean entropy, entropy_after, max_share, max_weight, similarity;
  RoutingSummary summary;
  for (size_t i = 0; i < gates.size(); ++i) {
    similarity.add(similarities[i]);
    if (gates[i].rows == 0) continue;
    entropy.add(gates[i].entropy);
    entropy_after.add(gates[i].entropy_after);
    max_share.add(largest_part(gates[i].share));
    max_weight.add(largest_part(gates[i].weight));
    summary.dead_experts += static_cast<int64_t>(dead_experts(gates[i]).size());
  }
  summary.entropy = entropy.value();
  summary.entropy_after = entropy_after.value();
  summary.max_share = max_share.value();
  summary.max_weight = max_weight.value();
  summary.similarity = similarity.value();
  return summary;
}

}  // namespace morex::adapters
