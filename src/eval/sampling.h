// From one row of logits to the next id.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "eval/generate.h"

namespace morex::eval {

// Index of the largest value; the lowest one of equals.
int64_t argmax(std::span<const double> values);

// Logits of ids seen before are divided by `penalty` where positive and multiplied by it where negative.
void penalise_repetition(std::span<double> logits, std::span<const int64_t> seen, double penalty);

// What may be drawn and how likely: sorted by falling probability where top_k or top_p ask for it, otherwise by id.
struct Candidates {
  std::vector<int64_t> ids;
  std::vector<double> probabilities;  // sum to 1
};
// The logits after temperature (> 0), then top_k, then the smallest set of the most probable ids whose mass reaches
// top_p (at least one id).
Candidates candidates(std::span<const double> logits, const GenerationOptions& options);
// The candidate at cumulated probability u in [0, 1).
int64_t draw(const Candidates& candidates, double u);

}  // namespace morex::eval
