// Rows of experts for the tests of gathered experts.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <vector>

#include "ops/expert_rows.h"

namespace morex::test {

// Expert e works on the first counts[e] of a fixed shuffle of the tokens, ascending.
inline ops::ExpertRows rows_of(int64_t tokens, const std::vector<int64_t>& counts) {
  std::vector<int64_t> all;
  for (size_t e = 0; e < counts.size(); ++e) {
    std::vector<int64_t> chosen;
    for (int64_t i = 0; i < counts[e]; ++i) chosen.push_back((i * 7 + static_cast<int64_t>(e) * 3) % tokens);
    std::sort(chosen.begin(), chosen.end());
    all.insert(all.end(), chosen.begin(), chosen.end());
  }
  return {at::tensor(all, at::kLong), counts};
}

// The same on another device.
inline ops::ExpertRows on(const ops::ExpertRows& rows, at::Device device) {
  return {rows.tokens.to(device), rows.counts};
}

}  // namespace morex::test
