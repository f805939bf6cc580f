// Every structure: one line each.
#pragma once
#include "adapters/structure.h"

namespace morex::adapters {

std::unique_ptr<Structure> make_low_rank(const MakeStructure& from);
std::unique_ptr<Structure> make_tree(const MakeStructure& from);

inline constexpr StructureKind kStructures[] = {
    {"low_rank", make_low_rank},
    {"tree", make_tree},
};

}  // namespace morex::adapters
