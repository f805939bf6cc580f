// Updates that are one matrix whatever the token: LoRA's variants, and mixtures whose gates are constant.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "adapters/bank_adapter.h"
#include "adapters/structure/pissa.h"

namespace morex::adapters {

// b·a = the update of this site, of as few rows as its factors have, in the adapter's dtype; empty where the update
// depends on the token or has no such factors (DoRA's norms, a tree). Gates are constant where the router has no rows
// on the token, or all of them are zero; a router of tasks needs `task`, without it the update counts as not constant.
// Exact: nothing but products of the site's own tensors.
std::optional<LowRankFactors> constant_update(const BankAdapter& bank, size_t site, std::optional<int64_t> task);

}  // namespace morex::adapters
