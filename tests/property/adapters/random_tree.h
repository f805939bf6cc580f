// Random S'MoRE configurations with random tensors on one projection.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "../../golden/adapters/one_site.h"

namespace morex::test {

struct RandomTree {
  Json recipe;  // every key given
  int64_t d_in = 0, d_out = 0, tokens = 0;
  uint64_t seed = 0;
  bool training = false, masked = false;

  // The projection with the adapter, its tensors filled from the seed (not at their start), in `dtype`.
  std::unique_ptr<OneSite> build(at::ScalarType dtype = at::kDouble) const;
  at::Tensor input() const;                                              // [T, d_in] float64
  nn::BatchContext context() const;                                      // one sequence; mask and noise as drawn
  std::map<std::string, at::Tensor> tensors(const OneSite& site) const;  // by checkpoint name
  std::vector<at::Tensor> noise() const;                                 // per level, empty in evaluation
};

// Uses RapidCheck's generators: call inside rc::check.
RandomTree random_tree();

// Deterministic numbers in [-1, 1) for tests.
at::Tensor test_numbers(uint64_t seed, const std::string& name, at::IntArrayRef shape);

}  // namespace morex::test
