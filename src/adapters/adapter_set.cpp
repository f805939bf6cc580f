#include "adapters/adapter_set.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <set>

#include "adapters/adapter_files.h"
#include "adapters/bank_adapter.h"
#include "adapters/method_config.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

std::string last_component(const std::string& module) { return module.substr(module.rfind('.') + 1); }

// The three axes of one entry at one site, with the checks that they fit.
BankSite make_site(const MethodEntry& entry, const nn::LinearGroup& group, size_t index, Warnings& warnings) {
  const nn::LinearMember& member = group.members[index];
  BankSite made;
  made.site = {member.module, group.layer, member.weight.in_features(), member.weight.out_features()};
  made.member = &member;
  made.member_index = static_cast<int64_t>(index);
  const auto kind = [](const Json& axis, const char* where) {
    return JsonReader(axis, where, ErrorKind::kConfig).get<std::string>("kind");
  };
  const StructureKind& structure = find_structure(kind(entry.experts, "experts"), "experts");
  const RouterKind& router = find_router(kind(entry.router, "router"), "router");
  const PriorKind& prior = find_prior(kind(entry.prior, "prior"), "prior");

  made.structure =
      structure.make({entry.experts_of(member.module), made.site, router.fills_all(entry.router), warnings});
  const GateShape shape = made.structure->gates();
  MOREX_CHECK(router.gives(shape.kind), ErrorKind::kConfig,
              "[adapters] experts of kind {} need {}, which router {} does not give. Hint: router kinds that do: {}",
              structure.name, describe(shape), router.name, routers_giving(shape.kind));
  MOREX_CHECK(prior.fits(shape.kind), ErrorKind::kConfig,
              "[adapters] prior {} does not go with {} (experts of kind {})", prior.name, describe(shape),
              structure.name);
  made.router = router.make({entry.router, shape, made.site, warnings});
  made.prior = prior.make({entry.prior, shape, made.site});
  return made;
}

class AdapterSetImpl : public AdapterSet {
 public:
  AdapterSetImpl(const Json& method, nn::SlotTable& slots, Warnings& warnings) : slots_(&slots) {
    entries_ = read_method(method);
    for (nn::LinearGroup* group : slots.groups) add_group(*group, warnings);
    check_targets(warnings);
    for (const auto& bank : banks_) bank->declare(store_);
    config_ = make_config();
  }
  ~AdapterSetImpl() override { AdapterSetImpl::detach(); }

  void allocate(at::ScalarType dtype, at::Device device) { store_.allocate(dtype, device); }

  void initialize(uint64_t seed) override {
    for (const auto& bank : banks_) bank->initialize(seed);
  }
  void attach() override {
    for (size_t i = 0; i < banks_.size(); ++i) groups_[i]->adapter = banks_[i].get();
  }
  void detach() override {
    for (size_t i = 0; i < banks_.size(); ++i)
      if (groups_[i]->adapter == banks_[i].get()) groups_[i]->adapter = nullptr;
  }
  nn::ParameterStore& parameters() override { return store_; }
  const nn::ParameterStore& parameters() const override { return store_; }
  const Json& config() const override { return config_; }

  at::Tensor auxiliary_loss(const nn::RoutingReport& report) const override;
  void save(const std::filesystem::path& folder, const BaseIdentity& base) const override {
    write_adapter(folder, config_, store_, base);
  }
  std::vector<SiteCost> costs() const override;
  std::string why_not_mergeable() const override;
  void merge_into_base() override;

 private:
  void add_group(nn::LinearGroup& group, Warnings& warnings);
  void check_targets(Warnings& warnings) const;
  Json make_config() const;
  std::vector<std::string> exact_targets() const;

  nn::SlotTable* slots_;
  std::vector<MethodEntry> entries_;
  std::vector<nn::LinearGroup*> groups_;  // one per bank
  std::vector<std::unique_ptr<BankAdapter>> banks_;
  std::map<std::string, size_t> entry_of_;  // by adapted module
  nn::ParameterStore store_;
  Json config_;
};

void AdapterSetImpl::add_group(nn::LinearGroup& group, Warnings& warnings) {
  std::vector<BankSite> sites;
  for (size_t i = 0; i < group.members.size(); ++i) {
    const std::string& module = group.members[i].module;
    for (size_t e = 0; e < entries_.size(); ++e) {
      if (!entries_[e].targets.matches(module, group.layer)) continue;
      MOREX_CHECK(entry_of_.emplace(module, e).second, ErrorKind::kConfig,
                  "[adapters] each module may carry one method, {} is named by entries {} and {}", module,
                  entry_of_.at(module), e);
      sites.push_back(make_site(entries_[e], group, i, warnings));
    }
  }
  if (sites.empty()) return;
  groups_.push_back(&group);
  banks_.push_back(std::make_unique<BankAdapter>(std::move(sites)));
}

void AdapterSetImpl::check_targets(Warnings& warnings) const {
  std::vector<std::pair<std::string, int64_t>> modules;
  std::set<std::string> names;
  for (const nn::LinearGroup* group : slots_->groups) {
    for (const nn::LinearMember& member : group->members) {
      modules.emplace_back(member.module, group->layer);
      names.insert(last_component(member.module));
    }
  }
  for (size_t e = 0; e < entries_.size(); ++e) {
    const MethodEntry& entry = entries_[e];
    for (const nn::Embedding* embedding : slots_->embeddings)
      MOREX_CHECK(entry.targets.describe() == "\"all-linear\"" || !entry.targets.matches(embedding->module, -1),
                  ErrorKind::kConfig,
                  "[target_modules] must name projections, {} is an embedding, which cannot carry this",
                  embedding->module);
    std::vector<std::string> adapted;
    for (const auto& [module, number] : entry_of_)
      if (number == e) adapted.push_back(module);
    MOREX_CHECK(!adapted.empty(), ErrorKind::kConfig,
                "[target_modules] must match projections of the model, {} matches none. Hint: there are {}",
                entry.targets.describe(), join({names.begin(), names.end()}, ", "));
    for (const std::string& name : entry.targets.unmatched(modules))
      warnings.add("target_modules:" + name, fmt::format("[target_modules] '{}' matches no module", name));
    for (const auto* patterns : {&entry.rank_pattern, &entry.alpha_pattern})
      for (const std::string& key : patterns->unmatched(adapted))
        warnings.add("pattern:" + key,
                     fmt::format("[rank_pattern, alpha_pattern] '{}' matches no adapted module", key));
  }
}

// The adapted modules as a list that PEFT's matching turns into exactly them: last components where that is exact.
std::vector<std::string> AdapterSetImpl::exact_targets() const {
  std::set<std::string> names, paths;
  for (const auto& [module, entry] : entry_of_) {
    names.insert(last_component(module));
    paths.insert(module);
  }
  for (const nn::LinearGroup* group : slots_->groups)
    for (const nn::LinearMember& member : group->members)
      if (names.contains(last_component(member.module)) && !paths.contains(member.module))
        return {paths.begin(), paths.end()};
  return {names.begin(), names.end()};
}

Json AdapterSetImpl::make_config() const {
  const Json method = method_to_json(entries_);
  const bool plain_lora = entries_.size() == 1 && entries_.front().experts.at("kind") == "low_rank" &&
                          entries_.front().router.at("kind") == "none";
  return plain_lora ? peft_lora_config(method, exact_targets()) : morex_config(method, store_);
}

at::Tensor AdapterSetImpl::auxiliary_loss(const nn::RoutingReport& report) const {
  std::vector<std::vector<const nn::GateReport*>> by_entry(entries_.size());
  for (const nn::GateReport& gate : report.gates) {
    const auto found = entry_of_.find(gate.site);
    if (found != entry_of_.end()) by_entry[found->second].push_back(&gate);
  }
  at::Tensor total;
  for (size_t e = 0; e < entries_.size(); ++e) {
    for (const GateLoss& loss : entries_[e].losses) {
      const at::Tensor value = form_loss(loss, by_entry[e]);
      if (value.defined()) total = total.defined() ? total + value : value;
    }
  }
  return total;
}

std::vector<SiteCost> AdapterSetImpl::costs() const {
  std::vector<SiteCost> costs;
  for (const auto& bank : banks_) {
    for (const BankSite& site : bank->sites()) {
      const StructureCost cost = site.structure->cost(site.site);
      SiteCost row;
      row.module = site.site.module;
      row.method = entries_[entry_of_.at(site.site.module)].name;
      row.trainable = bank->parameter_count(site);
      row.active = cost.active_parameters;
      row.flops_per_token = cost.flops;
      row.sparse_flops_per_token = cost.sparse_flops;
      row.routing_flops = site.router->flops();
      costs.push_back(std::move(row));
    }
  }
  return costs;
}

std::string AdapterSetImpl::why_not_mergeable() const {
  for (const auto& bank : banks_) {
    for (const BankSite& site : bank->sites()) {
      const std::string reason = site.structure->why_not_mergeable();
      if (!reason.empty()) return site.site.module + ": " + reason;
      for (const nn::Embedding* embedding : slots_->embeddings)
        if (site.member->weight.value.is_alias_of(embedding->weight))
          return site.site.module + " shares its weight with the embedding, which the update must not change";
    }
  }
  return "";
}

void AdapterSetImpl::merge_into_base() {
  const std::string reason = why_not_mergeable();
  MOREX_CHECK(reason.empty(), ErrorKind::kConfig, "[merge] {}", reason);
  const at::NoGradGuard guard;
  detach();
  for (size_t i = 0; i < banks_.size(); ++i) {
    const std::vector<BankSite>& sites = banks_[i]->sites();
    for (size_t s = 0; s < sites.size(); ++s) {
      nn::LinearWeight& weight = groups_[i]->members[static_cast<size_t>(sites[s].member_index)].weight;
      at::Tensor update = banks_[i]->merged_update(s);
      if (weight.transposed) update = update.t();
      // A new tensor: the base's may be a read-only map of its file. Summed wide and rounded once.
      weight.value = (weight.value.to(update.scalar_type()) + update).to(weight.value.scalar_type());
    }
  }
}

}  // namespace

std::unique_ptr<AdapterSet> AdapterSet::create(const Json& method, nn::SlotTable& slots, at::ScalarType dtype,
                                               at::Device device, Warnings& warnings) {
  auto set = std::make_unique<AdapterSetImpl>(method, slots, warnings);
  set->allocate(dtype, device);
  return set;
}

std::unique_ptr<AdapterSet> AdapterSet::load(const std::filesystem::path& folder, nn::SlotTable& slots,
                                             const BaseIdentity& base, at::ScalarType dtype, at::Device device,
                                             Warnings& warnings) {
  const Json method = read_adapter_config(folder, warnings);
  std::unique_ptr<AdapterSet> set;
  try {
    set = create(method, slots, dtype, device, warnings);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConfig) throw;
    fail(ErrorKind::kFormat, "[{}] {}", (folder / "adapter_config.json").string(), error.what());
  }
  read_adapter_tensors(folder, set->parameters(), base);
  return set;
}

}  // namespace morex::adapters
