#include "eval/choice_metrics.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "eval/python_text.h"
#include "eval/sampling.h"

namespace morex::eval {

Prediction predict(const std::vector<std::string>& choices, std::span<const double> log_likelihoods) {
  MOREX_ASSERT(choices.size() == log_likelihoods.size());
  std::vector<double> per_character, per_byte;
  for (size_t i = 0; i < choices.size(); ++i) {
    per_character.push_back(log_likelihoods[i] / static_cast<double>(character_count(choices[i])));
    per_byte.push_back(log_likelihoods[i] / static_cast<double>(choices[i].size()));
  }
  return {argmax(log_likelihoods), argmax(per_character), argmax(per_byte)};
}

MeanScore mean_score(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  MeanScore result;
  for (const double value : values) result.mean += value / n;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.standard_error =
      values.size() < 2 ? std::numeric_limits<double>::quiet_NaN() : std::sqrt(squares / (n - 1) / n);
  return result;
}

}  // namespace morex::eval
