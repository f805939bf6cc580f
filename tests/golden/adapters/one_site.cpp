#include "one_site.h"

#include <ATen/core/Tensor.h>

namespace morex::test {
namespace {

const nn::NamedView& find_view(const nn::ParameterStore& store, const std::string& name) {
  for (const nn::NamedView& view : store.views())
    if (view.name == kSitePrefix + name) return view;
  throw std::out_of_range("the adapter has no tensor " + name);
}

}  // namespace

OneSite::OneSite(const at::Tensor& weight, const at::Tensor& bias, Json recipe) {
  group.layer = 0;
  group.members.push_back({kSiteModule, {weight, false}, bias});
  slots.groups.push_back(&group);
  recipe["target_modules"] = Json::array({"up_proj"});
  set = adapters::AdapterSet::create(recipe, slots, weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat,
                                     weight.device(), warnings);
  set->attach();
}

at::Tensor OneSite::value(const std::string& name) const {
  return set->parameters().named_value(find_view(set->parameters(), name));
}

at::Tensor OneSite::grad(const std::string& name) const {
  return set->parameters().named_grad(find_view(set->parameters(), name));
}

std::vector<std::string> OneSite::names() const {
  std::vector<std::string> names;
  for (const nn::NamedView& view : set->parameters().views()) names.push_back(view.name.substr(kSitePrefix.size()));
  return names;
}

}  // namespace morex::test
