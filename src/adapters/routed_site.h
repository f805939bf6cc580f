// A place where tokens are routed, for whoever looks at the routing.
#pragma once
#include <cstdint>
#include <string>

#include "adapters/gates.h"

namespace morex::adapters {

struct RoutedSite {
  std::string module;  // of a projection, or of a feed-forward block
  int64_t layer = 0;
  GateShape shape;
  std::string method;                  // as in SiteCost
  std::string experts, router, prior;  // kinds on the three axes
};

}  // namespace morex::adapters
