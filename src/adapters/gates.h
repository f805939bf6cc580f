// What a router gives and a structure needs: gates of a declared shape.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace morex::adapters {

enum class GateKind {
  kNone,   // no gates: one expert, always on
  kFlat,   // one weight per expert of one pool
  kPairs,  // one weight per pair (i, j) of two pools
  kTree,   // per level, and per parent node, one weight per chosen expert of the level's pool
};

// One pool: of `experts`, a sparse router picks `active` per parent.
struct GateLevel {
  int64_t experts = 0;
  int64_t active = 0;
  bool operator==(const GateLevel&) const = default;
};

// kFlat: one level; kPairs: two levels, the gates form an experts x experts matrix; kTree: bottom level first.
struct GateShape {
  GateKind kind = GateKind::kNone;
  std::vector<GateLevel> levels;
  bool operator==(const GateShape&) const = default;
};

// "no gates", "a tree of gates with 3, 4 experts": for messages.
std::string describe(const GateShape& shape);

// Number of gates of one parent: kFlat the experts, kPairs all pairs, kTree the top level's experts.
int64_t gate_count(const GateShape& shape);

// Gates of one level. Sparse: ids, weights [T, parents, active], ids int64 in descending order of the router's value.
// Dense: ids undefined, weights [T, parents, experts] (kPairs: [T, 1, first * second]), zero where not chosen.
// overflow [T] bool, with one expert per token only: the chosen expert has no room for the token; undefined: it has.
struct LevelGates {
  at::Tensor ids;
  at::Tensor weights;
  at::Tensor overflow{};
};

struct Gates {
  std::vector<LevelGates> levels;  // as in the shape; kPairs: one, of all pairs
};

// The weights of all `experts`, [T, parents, experts], zero where a sparse choice left one out.
at::Tensor all_gates(const LevelGates& gates, int64_t experts);

}  // namespace morex::adapters
