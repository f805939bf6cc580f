// What the routed sites of one forward pass hand back: small differentiable sums and counts, from which one function
// forms each loss over its scope (site, layer, model). Nothing here grows with tokens x experts x width.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace morex::nn {

class RoutingTally;

// One gate of one site (a tree has one per level).
struct GateReport {
  std::string site;   // module path
  int64_t layer = 0;  // decoder layer
  int64_t level = 0;  // 0 = bottom
  std::map<std::string, at::Tensor>
      sums;           // differentiable where the loss needs it: "probability" [E], "importance" [E] …; with ".all"
                      // behind the name padded tokens are counted (only where there is a mask)
  at::Tensor counts;  // [E] tokens that selected each expert (no gradient)
  at::Tensor rows;    // [] number of (token, parent) rows counted
  at::Tensor sample_types;  // [B] int64 as the batch gave them, where a loss asks for them
};

struct RoutingReport {
  std::vector<GateReport> gates;
  RoutingTally* tally = nullptr;  // counts what the gates do; null: nobody asks
  // Per-token details (ids, scores …) by "SITE.NAME", filled only when asked for (inspection, tests).
  bool keep_details = false;
  std::map<std::string, at::Tensor> details;
};

}  // namespace morex::nn
