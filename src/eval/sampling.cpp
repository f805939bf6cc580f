#include "eval/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.h"

namespace morex::eval {
namespace {

constexpr size_t kFirstSorted = 64, kSortedGrowth = 8;

}  // namespace

int64_t argmax(std::span<const double> values) {
  MOREX_ASSERT(!values.empty());
  return std::max_element(values.begin(), values.end()) - values.begin();
}

void penalise_repetition(std::span<double> logits, std::span<const int64_t> seen, double penalty) {
  for (const int64_t id : std::set<int64_t>(seen.begin(), seen.end())) {
    logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
  }
}

Candidates candidates(std::span<const double> logits, const GenerationOptions& options) {
  Candidates result;
  std::vector<int64_t>& ids = result.ids;
  ids.resize(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const double top = logits[argmax(logits)];
  const auto weight = [&](int64_t id) { return std::exp((logits[id] - top) / options.temperature); };
  size_t sorted = 0;  // how many of the ids are the likeliest, in order
  const auto sort_up_to = [&](size_t count) {
    std::partial_sort(ids.begin() + static_cast<int64_t>(sorted), ids.begin() + static_cast<int64_t>(count), ids.end(),
                      [&](int64_t a, int64_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
    sorted = count;
  };
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < ids.size()) {
    sort_up_to(static_cast<size_t>(options.top_k));
    ids.resize(sorted);
  }
  double sum = 0;
  for (const int64_t id : ids) sum += result.probabilities.emplace_back(weight(id));
  if (options.top_p < 1.0) {
    result.probabilities.clear();
    double mass = 0;
    while (result.probabilities.size() < ids.size() && (mass == 0 || mass < options.top_p * sum)) {
      const size_t next = result.probabilities.size();
      // Most of the mass lies with few ids: the others need no order.
      if (next == sorted) sort_up_to(std::min(ids.size(), std::max(kFirstSorted, kSortedGrowth * sorted)));
      mass += result.probabilities.emplace_back(weight(ids[next]));
    }
    ids.resize(result.probabilities.size());
    sum = mass;
  }
  for (double& probability : result.probabilities) probability /= sum;
  return result;
}

int64_t draw(const Candidates& candidates, double u) {
  double cumulated = 0;
  for (size_t i = 0; i + 1 < candidates.ids.size(); ++i) {
    cumulated += candidates.probabilities[i];
    if (u < cumulated) return candidates.ids[i];
  }
  return candidates.ids.back();
}

}  // namespace morex::eval
