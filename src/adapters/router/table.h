// Every router: one line each.
#pragma once
#include "adapters/router.h"

namespace morex::adapters {

bool no_router_gives(GateKind kind);
bool no_router_fills_all(const Json& options);
std::unique_ptr<Router> make_no_router(const MakeRouter& from);

bool tree_keys_gives(GateKind kind);
bool tree_keys_fills_all(const Json& options);
std::unique_ptr<Router> make_tree_keys(const MakeRouter& from);

inline constexpr RouterKind kRouters[] = {
    {"none", no_router_gives, no_router_fills_all, make_no_router},
    {"tree_keys", tree_keys_gives, tree_keys_fills_all, make_tree_keys},
};

}  // namespace morex::adapters
