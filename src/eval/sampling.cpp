#include "eval/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.h"

namespace morex::eval {

int64_t argmax(std::span<const double> values) {
  MOREX_ASSERT(!values.empty());
  return std::max_element(values.begin(), values.end()) - values.begin();
}

double log_sum_exp(std::span<const double> values) {
  const double top = values[argmax(values)];
  double sum = 0;
  for (const double value : values) sum += std::exp(value - top);
  return top + std::log(sum);
}

void penalise_repetition(std::span<double> logits, std::span<const int64_t> seen, double penalty) {
  for (const int64_t id : std::set<int64_t>(seen.begin(), seen.end())) {
    logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
  }
}

Candidates candidates(std::span<const double> logits, const GenerationOptions& options) {
  Candidates result;
  result.ids.resize(logits.size());
  std::iota(result.ids.begin(), result.ids.end(), 0);
  const auto vocabulary = static_cast<int64_t>(logits.size());
  const int64_t kept = options.top_k > 0 ? std::min(options.top_k, vocabulary) : vocabulary;
  if (kept < vocabulary || options.top_p < 1.0) {
    std::partial_sort(result.ids.begin(), result.ids.begin() + kept, result.ids.end(),
                      [&](int64_t a, int64_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
    result.ids.resize(kept);
  }
  const double top = logits[argmax(logits)];
  double sum = 0;
  result.probabilities.reserve(result.ids.size());
  for (const int64_t id : result.ids) {
    result.probabilities.push_back(std::exp((logits[id] - top) / options.temperature));
    sum += result.probabilities.back();
  }
  if (options.top_p < 1.0) {
    size_t count = 0;
    double mass = 0;
    while (count < result.ids.size() && (count == 0 || mass < options.top_p * sum)) {
      mass += result.probabilities[count++];
    }
    result.ids.resize(count);
    result.probabilities.resize(count);
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
