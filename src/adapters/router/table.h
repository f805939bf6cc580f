// Every router: one line each.
#pragma once
#include "adapters/router.h"
#include "adapters/router/flat_router.h"

namespace morex::adapters {

bool no_router_gives(GateKind kind);
bool no_router_fills_all(const Json& options);
std::unique_ptr<Router> make_no_router(const MakeRouter& from);

bool tree_keys_gives(GateKind kind);
bool tree_keys_fills_all(const Json& options);
std::unique_ptr<Router> make_tree_keys(const MakeRouter& from);

bool pair_softmax_gives(GateKind kind);
bool pair_softmax_fills_all(const Json& options);
std::unique_ptr<Router> make_pair_softmax(const MakeRouter& from);
std::unique_ptr<FlatChoice> make_pair_choice(const MakeChoice& from);

std::unique_ptr<FlatChoice> make_entropy_choice(const MakeChoice& from);
std::unique_ptr<FlatChoice> make_noisy_top_k_choice(const MakeChoice& from);
std::unique_ptr<FlatChoice> make_threshold_choice(const MakeChoice& from);
std::unique_ptr<FlatChoice> make_top_p_choice(const MakeChoice& from);

std::unique_ptr<FlatChoice> make_switch_choice(const MakeChoice& from);
int64_t switch_picks(const Json& options);

std::unique_ptr<Router> make_task_router(const MakeRouter& from);

std::unique_ptr<FlatChoice> make_softmax_choice(const MakeChoice& from);

std::unique_ptr<FlatChoice> make_top_k_choice(const MakeChoice& from);
int64_t top_k_picks(const Json& options);

bool mixture_gives(GateKind kind);
bool mixture_fills_all(const Json& options);
std::unique_ptr<Router> make_mixture_of_routers(const MakeRouter& from);
int64_t mixture_picks(const Json& options);

inline constexpr RouterKind kRouters[] = {
    {"entropy", flat_gives, flat_fills_all, make_flat_router, make_entropy_choice},
    {"mixture_of_routers", mixture_gives, mixture_fills_all, make_mixture_of_routers, nullptr, mixture_picks},
    {"noisy_top_k", flat_gives, flat_fills_all, make_flat_router, make_noisy_top_k_choice, top_k_picks},
    {"none", no_router_gives, no_router_fills_all, make_no_router},
    {"pair_softmax", pair_softmax_gives, pair_softmax_fills_all, make_pair_softmax, make_pair_choice},
    {"softmax", flat_gives, flat_fills_all, make_flat_router, make_softmax_choice},
    {"switch", flat_gives, flat_fills_all, make_flat_router, make_switch_choice, switch_picks},
    {"task", flat_gives, flat_fills_all, make_task_router, nullptr, nullptr, /*by_task=*/true},
    {"threshold", flat_gives, flat_fills_all, make_flat_router, make_threshold_choice},
    {"top_k", flat_gives, flat_fills_all, make_flat_router, make_top_k_choice, top_k_picks},
    {"top_p", flat_gives, flat_fills_all, make_flat_router, make_top_p_choice},
    {"tree_keys", tree_keys_gives, tree_keys_fills_all, make_tree_keys},
};

}  // namespace morex::adapters
