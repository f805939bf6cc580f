// Looks up members of the three axes by name.
#include "adapters/prior/table.h"
#include "adapters/router/table.h"
#include "adapters/structure/table.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

template <typename Kind, size_t N>
const Kind& find_kind(const Kind (&table)[N], const std::string& name, const std::string& where) {
  std::vector<std::string> names;
  for (const Kind& kind : table) {
    if (kind.name == name) return kind;
    names.emplace_back(kind.name);
  }
  fail(ErrorKind::kConfig, "[{}] kind must be one of {}, got '{}'.{}", where, join(names, ", "), name,
       did_you_mean(name, names));
}

}  // namespace

const StructureKind& find_structure(const std::string& name, const std::string& where) {
  return find_kind(kStructures, name, where);
}
const RouterKind& find_router(const std::string& name, const std::string& where) {
  return find_kind(kRouters, name, where);
}
std::string routers_giving(GateKind kind) {
  std::vector<std::string> names;
  for (const RouterKind& router : kRouters)
    if (router.gives(kind)) names.emplace_back(router.name);
  return join(names, ", ");
}
const PriorKind& find_prior(const std::string& name, const std::string& where) {
  return find_kind(kPriors, name, where);
}

}  // namespace morex::adapters
