#include "adapters/gates.h"

#include "base/strings.h"

namespace morex::adapters {

std::string describe(const GateShape& shape) {
  std::vector<std::string> sizes;
  for (const GateLevel& level : shape.levels) sizes.push_back(std::to_string(level.experts));
  const std::string counts = join(sizes, ", ");
  switch (shape.kind) {
    case GateKind::kNone:
      return "no gates";
    case GateKind::kFlat:
      return "one flat vector of gates over " + counts + " experts";
    case GateKind::kPairs:
      return "a matrix of gates over pairs of " + counts + " experts";
    case GateKind::kTree:
      return "a tree of gates over levels of " + counts + " experts";
  }
  return "";
}

}  // namespace morex::adapters
