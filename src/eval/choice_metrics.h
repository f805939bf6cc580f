// From the scores of choices to predictions, and their mean with its standard error.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace morex::eval {

// Index of the best choice: by the sum of log-probabilities, per Unicode character, per byte of UTF-8. The first of
// equals wins.
struct Prediction {
  int64_t pred = 0, pred_norm = 0, pred_bytes = 0;
};
Prediction predict(const std::vector<std::string>& choices, std::span<const double> log_likelihoods);

struct MeanScore {
  double mean = 0;
  double standard_error = 0;  // sample standard deviation (n - 1) / sqrt(n); NaN for fewer than two values
};
MeanScore mean_score(std::span<const double> values);

}  // namespace morex::eval
