// Every prior: one line each.
#pragma once
#include "adapters/prior.h"

namespace morex::adapters {

bool no_prior_fits(GateKind kind);
std::unique_ptr<Prior> make_no_prior(const MakePrior& from);

bool clusters_fit(GateKind kind);
std::unique_ptr<Prior> make_clusters(const MakePrior& from);

inline constexpr PriorKind kPriors[] = {
    {"none", no_prior_fits, make_no_prior},
    {"clusters", clusters_fit, make_clusters},
};

}  // namespace morex::adapters
