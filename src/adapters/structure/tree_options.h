// S'MoRE's configuration, and the sizes that follow from it (Zeng et al., arXiv 2504.06426). Level 0 is the bottom.
#pragma once
#include <cstdint>
#include <vector>

#include "adapters/gates.h"
#include "adapters/small_activation.h"
#include "base/json.h"
#include "base/warnings.h"

namespace morex::adapters {

// Where the activation σ sits. The paper's main form is kAll.
enum class TreePosition {
  kAll,      // x' = Σ α·σ(E + W·x + w)
  kChild,    // x' = Σ (α·E + W·σ(x) + w)
  kChildV2,  // x' = Σ α·(E + W·σ(x) + w)
};

enum class TreeInit { kBZero, kBWZero, kNormal, kFinalZero, kOneLayer };

struct TreeOptions {
  std::vector<int64_t> ranks, pool, active;  // per level: r, s, f
  std::vector<double> alpha;                 // per level, or empty: scale 1
  SmallActivation activation{SmallActivation::Kind::kTanh};
  TreePosition position = TreePosition::kAll;
  TreeInit init = TreeInit::kFinalZero;
  bool shared_pool = false;

  int64_t levels() const { return static_cast<int64_t>(ranks.size()); }
  double scale(size_t level) const;               // c = alpha / r
  int64_t width(size_t level) const;              // d_level; width(0) = 0, width(levels()) = d_L
  int64_t down_rows() const;                      // all experts' A rows, a shared pool once
  int64_t nodes(size_t level, bool dense) const;  // F_level; F_L = 1
  GateShape gates() const;
};

// Reads `experts: {kind: tree, …}`. Refuses what the spec calls contradictory; warns about combinations in which
// parts never receive a gradient. Throws Error(kConfig).
TreeOptions read_tree_options(const Json& options, Warnings& warnings);

}  // namespace morex::adapters
