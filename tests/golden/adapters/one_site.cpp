#include "one_site.h"

#include <ATen/core/Tensor.h>

namespace morex::test {
namespace {

const std::string kPrefix = "base_model.model.";

const nn::NamedView& find_view(const OneSite& site, const std::string& name) {
  for (const nn::NamedView& view : site.set->parameters().views())
    if (view.name == kPrefix + site.module + "." + name) return view;
  throw std::out_of_range("the adapter has no tensor " + name);
}

at::ScalarType parameter_dtype(const at::Tensor& weight) {
  return weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

OneSite::OneSite(const at::Tensor& weight, const at::Tensor& bias, Json recipe) : module(kSiteModule) {
  group.layer = 0;
  group.members.push_back({kSiteModule, {weight, false}, bias});
  slots.groups.push_back(&group);
  recipe["target_modules"] = Json::array({"up_proj"});
  set = adapters::AdapterSet::create(recipe, slots, parameter_dtype(weight), weight.device(), warnings);
  set->attach();
}

OneSite::OneSite(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& down, nn::Activation activation,
                 Json recipe)
    : module(kBlockModule) {
  mlp.module = kBlockModule;
  mlp.activation = activation;
  mlp.gate_up.members = {{kBlockModule + ".gate_proj", {gate, false}, {}},
                         {kBlockModule + ".up_proj", {up, false}, {}}};
  mlp.down.members = {{kBlockModule + ".down_proj", {down, false}, {}}};
  slots.mlps = {&mlp};
  slots.groups = {&mlp.gate_up, &mlp.down};
  for (nn::LinearGroup* each : slots.groups) each->layer = 0;
  recipe["target_modules"] = Json::array({"gate_proj", "up_proj", "down_proj"});
  set = adapters::AdapterSet::create(recipe, slots, parameter_dtype(gate), gate.device(), warnings);
  set->attach();
}

at::Tensor OneSite::value(const std::string& name) const {
  return set->parameters().named_value(find_view(*this, name));
}

at::Tensor OneSite::grad(const std::string& name) const { return set->parameters().named_grad(find_view(*this, name)); }

std::vector<std::string> OneSite::names() const {
  std::vector<std::string> names;
  for (const nn::NamedView& view : set->parameters().views())
    names.push_back(view.name.substr(kPrefix.size() + module.size() + 1));
  return names;
}

}  // namespace morex::test
