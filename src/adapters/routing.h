// Router and prior of one place, made for the gates that the experts there need.
#pragma once
#include <memory>
#include <string_view>

#include "adapters/prior.h"
#include "adapters/router.h"

namespace morex::adapters {

struct Routing {
  std::unique_ptr<Router> router;
  std::unique_ptr<Prior> prior;
};

// `experts`: the structure's kind, for messages. Throws Error(kConfig) when shapes do not fit, with both of them.
Routing make_routing(const Json& router, const Json& prior, const GateShape& shape, const Site& site,
                     std::string_view experts, Warnings& warnings);

}  // namespace morex::adapters
