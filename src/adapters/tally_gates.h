// Hands what the gates of a site did to the tally.
#pragma once
#include "adapters/gates.h"
#include "adapters/site.h"
#include "nn/routing_tally.h"

namespace morex::adapters {

// The gates of one site, level by level, as nn::RoutedGate names them; pairs are one gate over all of them.
void append_routed_gates(const GateShape& shape, const std::string& module, int64_t layer,
                         std::vector<nn::RoutedGate>& gates);

// `gates` as the structure gets them, for `rows`; the recorder holds the distributions they were chosen from. A token
// whose expert has no room for it has chosen none.
void tally_gates(const Gates& gates, const Recorder& recorder, const TokenRows& rows, nn::RoutingTally& tally);

}  // namespace morex::adapters
