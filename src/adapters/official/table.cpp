#include "adapters/official/table.h"

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"

namespace morex::adapters {

const OfficialLayout* recognise_layout(const OfficialFolder& folder) {
  for (const OfficialLayout& layout : kOfficialLayouts)
    if (layout.recognises(folder)) return &layout;
  return nullptr;
}

const OfficialLayout& layout_for(const std::vector<MethodEntry>& entries, const std::string& name) {
  std::vector<std::string> names, suiting;
  for (const OfficialLayout& layout : kOfficialLayouts) {
    names.emplace_back(layout.name);
    if (layout.suits(entries)) suiting.emplace_back(layout.name);
  }
  MOREX_CHECK(name.empty() || std::find(names.begin(), names.end(), name) != names.end(), ErrorKind::kConfig,
              "[layout] must be one of {}, got '{}'.{}", join(names, ", "), name, did_you_mean(name, names));
  const std::string experts = entries.front().experts.at("kind"), router = entries.front().router.at("kind");
  MOREX_CHECK(!suiting.empty(), ErrorKind::kConfig,
              "[layout] no official layout holds experts of kind {} with router {}{}", experts, router,
              entries.size() > 1 ? " and further adapters" : "");
  for (const OfficialLayout& layout : kOfficialLayouts)
    if (layout.suits(entries) && (name.empty() || name == layout.name)) return layout;
  fail(ErrorKind::kConfig, "[layout] {} does not hold experts of kind {} with router {}, but {} does", name, experts,
       router, join(suiting, ", "));
}

std::vector<std::string> official_peft_types() {
  std::vector<std::string> types;
  for (const OfficialLayout& layout : kOfficialLayouts)
    if (layout.peft_type != "LORA" && (types.empty() || types.back() != layout.peft_type))
      types.emplace_back(layout.peft_type);
  return types;
}

}  // namespace morex::adapters
