#include "adapters/routing.h"

#include "base/error.h"

namespace morex::adapters {

Routing make_routing(const Json& router_options, const Json& prior_options, const GateShape& shape, const Site& site,
                     std::string_view experts, Warnings& warnings) {
  const auto kind = [](const Json& axis, const char* where) {
    return JsonReader(axis, where, ErrorKind::kConfig).get<std::string>("kind");
  };
  const RouterKind& router = find_router(kind(router_options, "router"), "router");
  const PriorKind& prior = find_prior(kind(prior_options, "prior"), "prior");
  MOREX_CHECK(router.gives(shape.kind), ErrorKind::kConfig,
              "[adapters] experts of kind {} need {}, which router {} does not give. Hint: router kinds that do: {}",
              experts, describe(shape), router.name, routers_giving(shape.kind));
  MOREX_CHECK(prior.fits(shape.kind), ErrorKind::kConfig,
              "[adapters] prior {} does not go with {} (experts of kind {})", prior.name, describe(shape), experts);
  return {router.make({router_options, shape, site, warnings}), prior.make({prior_options, shape, site})};
}

}  // namespace morex::adapters
