// Every structure: one line each.
#pragma once
#include "adapters/block_adapter.h"
#include "adapters/structure.h"

namespace morex::adapters {

std::unique_ptr<Structure> make_low_rank(const MakeStructure& from);
std::unique_ptr<Structure> make_rank_one_pairs(const MakeStructure& from);
std::unique_ptr<Structure> make_low_rank_experts(const MakeStructure& from);
std::unique_ptr<Structure> make_tree(const MakeStructure& from);
std::unique_ptr<BlockAdapter> make_ffn_experts(const MakeBlock& from);

inline constexpr StructureKind kStructures[] = {
    {"ffn_experts", nullptr, make_ffn_experts},
    {"low_rank", make_low_rank},
    {"low_rank_experts", make_low_rank_experts},
    {"rank_one_pairs", make_rank_one_pairs},
    {"tree", make_tree},
};

}  // namespace morex::adapters
