#include "adapters/adapter_set.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <set>

#include "adapters/adapter_files.h"
#include "adapters/expert_similarity.h"
#include "adapters/lora_sources.h"
#include "adapters/make_site.h"
#include "adapters/official/table.h"
#include "adapters/official_names.h"
#include "adapters/peft_config.h"
#include "adapters/plain_entry.h"
#include "adapters/structure/pissa.h"
#include "adapters/tally_gates.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

std::string last_component(const std::string& module) { return module.substr(module.rfind('.') + 1); }

class AdapterSetImpl : public AdapterSet {
 public:
  AdapterSetImpl(const Json& method, nn::SlotTable& slots, Warnings& warnings, const BaseIdentity& base = {})
      : slots_(&slots) {
    entries_ = read_method(method);
    for (MethodEntry& entry : entries_)
      if (starts_from_loras(entry.experts))
        entry.start = std::make_shared<LoraSources>(entry.experts.at("init_from"), base, warnings);
    for (nn::Mlp* mlp : slots.mlps) add_block(*mlp, warnings);
    for (nn::LinearGroup* group : slots.groups) add_group(*group, warnings);
    check_targets(warnings);
    for (const MethodEntry& entry : entries_)
      if (entry.start != nullptr) entry.start->check_all_claimed();
    for (const auto& bank : banks_) bank->declare(store_);
    for (const auto& block : blocks_) block->declare(store_);
    config_ = make_config();
  }
  ~AdapterSetImpl() override { AdapterSetImpl::detach(); }

  void allocate(at::ScalarType dtype, at::Device device) { store_.allocate(dtype, device); }

  void initialize(uint64_t seed) override {
    const bool attached = attached_;
    detach();
    for (const auto& bank : banks_) bank->initialize(seed);
    for (const auto& block : blocks_) block->initialize(seed);
    take_moved_bases();
    if (attached) attach();
  }
  void attach() override {
    if (!attached_ && moved_.empty()) take_moved_bases();
    for (size_t i = 0; i < banks_.size(); ++i) groups_[i]->adapter = banks_[i].get();
    for (size_t i = 0; i < blocks_.size(); ++i) mlps_[i]->adapter = blocks_[i].get();
    if (!attached_) swap_bases();
    attached_ = true;
  }
  void detach() override {
    for (size_t i = 0; i < banks_.size(); ++i)
      if (groups_[i]->adapter == banks_[i].get()) groups_[i]->adapter = nullptr;
    for (size_t i = 0; i < blocks_.size(); ++i)
      if (mlps_[i]->adapter == blocks_[i].get()) mlps_[i]->adapter = nullptr;
    if (attached_) swap_bases();
    attached_ = false;
  }
  bool moves_bases() const;
  bool trains_something() const;
  nn::ParameterStore& parameters() override { return store_; }
  const nn::ParameterStore& parameters() const override { return store_; }
  const Json& config() const override { return config_; }

  at::Tensor auxiliary_loss(const nn::RoutingReport& report) const override;
  void save(const std::filesystem::path& folder, const BaseIdentity& base) const override {
    write_adapter(folder, config_, store_, base);
  }
  std::string save_official(const std::filesystem::path& folder, const BaseIdentity& base,
                            const std::string& layout) const override;
  std::vector<SiteCost> costs() const override;
  nn::SequenceNeeds sequence_needs() const override;
  std::vector<RoutedSite> routed_sites() const override;
  std::vector<nn::RoutedGate> routed_gates() const override;
  std::vector<at::Tensor> expert_cosines() const override;
  std::vector<AdaptedGroup> groups() const override;
  std::vector<AdaptedBlock> blocks() const override;
  std::unique_ptr<AdapterSet> on_original_base(Warnings& warnings) const override;
  std::string why_not_mergeable() const override;
  void merge_into_base() override;

 private:
  void add_routed(const Site& site, const GateShape& shape, std::vector<RoutedSite>& sites) const;
  void add_block(nn::Mlp& mlp, Warnings& warnings);
  void add_group(nn::LinearGroup& group, Warnings& warnings);
  void take_moved_bases();
  void swap_bases();
  void check_targets(Warnings& warnings) const;
  Json make_config() const;
  std::vector<std::string> projection_targets() const;  // what is adapted, as PEFT would say it

  nn::SlotTable* slots_;
  std::vector<MethodEntry> entries_;
  std::vector<nn::LinearGroup*> groups_;  // one per bank
  std::vector<std::unique_ptr<BankAdapter>> banks_;
  std::vector<nn::Mlp*> mlps_;  // one per block
  std::vector<std::unique_ptr<BlockAdapter>> blocks_;
  std::map<std::string, size_t> entry_of_;  // by adapted module, blocks and their projections among them
  // Weights that stand in the base's place while attached; while they do, the base's own.
  struct MovedBase {
    nn::LinearMember* member = nullptr;
    at::Tensor other;      // the weight that is not in place
    LowRankFactors start;  // what was taken out of the base
  };
  std::vector<MovedBase> moved_;
  bool attached_ = false;
  nn::ParameterStore store_;
  Json config_;
};

void AdapterSetImpl::add_block(nn::Mlp& mlp, Warnings& warnings) {
  const std::string* modules[] = {&mlp.gate_up.members[0].module, &mlp.gate_up.members[1].module,
                                  &mlp.down.members[0].module};
  for (size_t e = 0; e < entries_.size(); ++e) {
    if (!takes_blocks(entries_[e])) continue;
    const auto named = std::count_if(std::begin(modules), std::end(modules), [&](const std::string* module) {
      return entries_[e].targets.matches(*module, mlp.layer);
    });
    if (named == 0) continue;
    MOREX_CHECK(named == 3, ErrorKind::kConfig,
                "[target_modules] experts of kind {} take the place of a whole feed-forward block: {} names only {} of "
                "{}, {} and {}",
                entries_[e].experts.at("kind").get<std::string>(), entries_[e].targets.describe(), named, *modules[0],
                *modules[1], *modules[2]);
    for (const std::string& module : {mlp.module, *modules[0], *modules[1], *modules[2]})
      MOREX_CHECK(entry_of_.emplace(module, e).second, ErrorKind::kConfig,
                  "[adapters] each module may carry one method, {} is named by entries {} and {}", module,
                  entry_of_.at(module), e);
    mlps_.push_back(&mlp);
    blocks_.push_back(make_block(entries_[e], mlp, warnings));
  }
}

void AdapterSetImpl::add_group(nn::LinearGroup& group, Warnings& warnings) {
  std::vector<BankSite> sites;
  for (size_t i = 0; i < group.members.size(); ++i) {
    const std::string& module = group.members[i].module;
    for (size_t e = 0; e < entries_.size(); ++e) {
      if (!entries_[e].targets.matches(module, group.layer)) continue;
      if (const auto found = entry_of_.find(module); found != entry_of_.end() && found->second == e)
        continue;  // a block
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

bool AdapterSetImpl::moves_bases() const {
  for (const auto& bank : banks_)
    for (const BankSite& site : bank->sites())
      if (site.structure->moves_base()) return true;
  return false;
}

bool AdapterSetImpl::trains_something() const {
  for (const nn::Leaf& leaf : store_.leaves())
    for (const nn::Segment& part : leaf.segments)
      if (part.options.frozen_from > 0 || part.options.frozen_until < nn::LeafOptions::kForever) return true;
  return false;
}

// From the present tensors, which must be those that a run starts from.
void AdapterSetImpl::take_moved_bases() {
  MOREX_ASSERT(!attached_);
  moved_.clear();
  for (size_t i = 0; i < banks_.size(); ++i) {
    const std::vector<BankSite>& sites = banks_[i]->sites();
    for (size_t s = 0; s < sites.size(); ++s) {
      if (!sites[s].structure->moves_base()) continue;
      nn::LinearMember& member = groups_[i]->members[static_cast<size_t>(sites[s].member_index)];
      const SiteTensors start = banks_[i]->tensors(s);
      moved_.push_back(
          {&member, sites[s].structure->moved_base(start, member), {start.down.clone(), start.up.t().clone()}});
    }
  }
}

void AdapterSetImpl::swap_bases() {
  for (MovedBase& moved : moved_) std::swap(moved.member->weight.value, moved.other);
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
    const bool has_block = std::any_of(blocks_.begin(), blocks_.end(),
                                       [&](const auto& block) { return entry_of_.at(block->site().module) == e; });
    MOREX_CHECK(has_block || !takes_blocks(entry), ErrorKind::kConfig,
                "[target_modules] experts of kind {} need feed-forward blocks: gate, up and down projection, {} names "
                "none",
                entry.experts.at("kind").get<std::string>(), entry.targets.describe());
    for (const std::string& name : entry.targets.unmatched(modules))
      warnings.add("target_modules:" + name, fmt::format("[target_modules] '{}' matches no module", name));
    for (const auto* patterns : {&entry.rank_pattern, &entry.alpha_pattern})
      for (const std::string& key : patterns->unmatched(adapted))
        warnings.add("pattern:" + key,
                     fmt::format("[rank_pattern, alpha_pattern] '{}' matches no adapted module", key));
  }
}

std::vector<std::string> AdapterSetImpl::projection_targets() const {
  std::set<std::string> adapted;
  std::vector<std::string> all;
  for (const nn::LinearGroup* group : slots_->groups) {
    for (const nn::LinearMember& member : group->members) {
      all.push_back(member.module);
      if (entry_of_.contains(member.module)) adapted.insert(member.module);
    }
  }
  return exact_targets(adapted, all);
}

Json AdapterSetImpl::make_config() const {
  const Json method = method_to_json(entries_);
  const Json& experts = entries_.front().experts;
  const bool plain_lora = entries_.size() == 1 && experts.at("kind") == "low_rank" &&
                          entries_.front().router.at("kind") == "none" && !experts.value("mixer", false);
  return plain_lora ? peft_lora_config(method, projection_targets()) : morex_config(method, store_);
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
      row.active = cost.active_parameters + site.router->active_parameters();
      for (const TensorSpec& spec : site.prior->tensors()) row.active += c10::multiply_integers(spec.shape);
      row.flops_per_token = cost.flops;
      row.sparse_flops_per_token = cost.sparse_flops;
      row.routing_flops = site.router->flops();
      costs.push_back(std::move(row));
    }
  }
  for (const auto& block : blocks_) {
    const StructureCost cost = block->cost();
    costs.push_back({block->site().module, entries_[entry_of_.at(block->site().module)].name, block->parameter_count(),
                     cost.active_parameters + block->router().active_parameters(), cost.flops, cost.sparse_flops,
                     block->router().flops()});
  }
  return costs;
}

std::string AdapterSetImpl::save_official(const std::filesystem::path& folder, const BaseIdentity& base,
                                          const std::string& layout_name) const {
  const OfficialLayout& layout = layout_for(entries_, layout_name);
  const std::string name(layout.name);
  const std::vector<std::string> targets = projection_targets();
  const OfficialExport from{entries_, targets, store_, *slots_};
  write_adapter(folder, layout.write(from), store_, base, [&](const std::string& ours) {
    const std::string official = official_name(name, ours);
    std::vector<std::string> names{official};
    if (layout.copies != nullptr)
      for (std::string& copy : layout.copies(from, official)) names.push_back(std::move(copy));
    return names;
  });
  return name;
}

std::vector<AdaptedGroup> AdapterSetImpl::groups() const {
  std::vector<AdaptedGroup> all;
  for (size_t i = 0; i < banks_.size(); ++i) all.push_back({groups_[i], banks_[i].get()});
  return all;
}

std::vector<AdaptedBlock> AdapterSetImpl::blocks() const {
  std::vector<AdaptedBlock> all;
  for (size_t i = 0; i < blocks_.size(); ++i) all.push_back({mlps_[i], blocks_[i].get()});
  return all;
}

void AdapterSetImpl::add_routed(const Site& site, const GateShape& shape, std::vector<RoutedSite>& sites) const {
  if (shape.kind == GateKind::kNone) return;
  const MethodEntry& entry = entries_[entry_of_.at(site.module)];
  const auto kind = [](const Json& axis) { return axis.at("kind").get<std::string>(); };
  sites.push_back(
      {site.module, site.layer, shape, entry.name, kind(entry.experts), kind(entry.router), kind(entry.prior)});
}

std::vector<RoutedSite> AdapterSetImpl::routed_sites() const {
  std::vector<RoutedSite> sites;
  for (const auto& bank : banks_)
    for (const BankSite& site : bank->sites()) add_routed(site.site, site.structure->gates(), sites);
  for (const auto& block : blocks_) add_routed(block->site(), block->gates(), sites);
  return sites;
}

std::vector<nn::RoutedGate> AdapterSetImpl::routed_gates() const {
  std::vector<nn::RoutedGate> gates;
  for (const RoutedSite& site : routed_sites()) append_routed_gates(site.shape, site.module, site.layer, gates);
  return gates;
}

std::vector<at::Tensor> AdapterSetImpl::expert_cosines() const {
  const at::NoGradGuard guard;
  std::vector<at::Tensor> all;
  const auto add = [&all](const at::Tensor& products) {
    all.push_back(products.defined() ? cosines_of(products) : at::Tensor());
  };
  for (const auto& bank : banks_) {
    for (size_t s = 0; s < bank->sites().size(); ++s) {
      const Structure& structure = *bank->sites()[s].structure;
      std::vector<nn::RoutedGate> gates;
      append_routed_gates(structure.gates(), "", 0, gates);
      if (gates.empty()) continue;
      const SiteTensors tensors = bank->tensors(s);
      for (const nn::RoutedGate& gate : gates) add(structure.expert_products(tensors, gate.level));
    }
  }
  for (const auto& block : blocks_) add(block->expert_products());
  return all;
}

nn::SequenceNeeds AdapterSetImpl::sequence_needs() const {
  nn::SequenceNeeds needs;
  std::set<int64_t> counts;
  const auto add = [&](const Router& router, const Prior& prior, const std::string& module) {
    counts.insert(prior.clusters());
    needs.padding = needs.padding || router.whole_sequences();
    const nn::TaskTable* tasks = router.tasks();
    if (tasks == nullptr) return;
    if (!needs.tasks) needs.tasks = *tasks;
    MOREX_CHECK(*needs.tasks == *tasks, ErrorKind::kConfig,
                "[router] all routers of kind task must have the same tasks and task_names, that of {} differs",
                module);
  };
  for (const auto& bank : banks_)
    for (const BankSite& site : bank->sites()) add(*site.router, *site.prior, site.site.module);
  for (const auto& block : blocks_) add(block->router(), block->prior(), block->site().module);
  counts.erase(0);
  needs.clusters.assign(counts.begin(), counts.end());
  for (const MethodEntry& entry : entries_) {
    needs.sample_types = needs.sample_types || needs_sample_types(entry);
    for (const GateLoss& loss : entry.losses) needs.padding = needs.padding || loss.padding || loss.kind == "localized";
  }
  return needs;
}

std::unique_ptr<AdapterSet> AdapterSetImpl::on_original_base(Warnings& warnings) const {
  MOREX_CHECK(!moved_.empty(), ErrorKind::kConfig,
              "[adapters] only an adapter that moved the base has another form on it, this one did not");
  std::vector<MethodEntry> entries;
  for (const MethodEntry& entry : entries_) entries.push_back(moves_base(entry) ? plain_entry(entry) : entry);
  auto plain = std::make_unique<AdapterSetImpl>(method_to_json(entries), *slots_, warnings);
  plain->allocate(store_.dtype(), store_.values().device());
  std::map<std::string, at::Tensor> values;
  for (const nn::NamedView& view : store_.views()) values[view.name] = store_.named_value(view);
  for (const MovedBase& moved : moved_) {
    const std::string name = kFilePrefix + moved.member->module + ".lora_";
    at::Tensor &a = values.at(name + "A.weight"), &b = values.at(name + "B.weight");
    const LowRankFactors both = adapters::on_original_base({a, b}, moved.start);
    a = both.a, b = both.b;
  }
  const at::NoGradGuard guard;
  for (const nn::NamedView& view : plain->store_.views()) plain->store_.named_value(view).copy_(values.at(view.name));
  return plain;
}

std::string AdapterSetImpl::why_not_mergeable() const {
  for (const auto& block : blocks_)
    if (const std::string reason = block->why_not_mergeable(); !reason.empty())
      return block->site().module + ": " + reason;
  for (const auto& bank : banks_) {
    for (const BankSite& site : bank->sites()) {
      const std::string reason = site.structure->why_not_mergeable();
      if (!reason.empty()) return site.site.module + ": " + reason;
      if (site.member->weight.in_8bit())
        return site.site.module + " is held in 8 bits, where an update would be rounded away";
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
  // The update goes onto the base that it was trained on.
  attach();
  attached_ = false;
  moved_.clear();
  detach();
  for (size_t i = 0; i < banks_.size(); ++i) {
    const std::vector<BankSite>& sites = banks_[i]->sites();
    for (size_t s = 0; s < sites.size(); ++s) {
      nn::LinearMember& member = groups_[i]->members[static_cast<size_t>(sites[s].member_index)];
      nn::LinearWeight& weight = member.weight;
      at::Tensor update = sites[s].structure->merged_update(banks_[i]->tensors(s), member);
      if (weight.transposed) update = update.t();
      // A new tensor: the base's may be a read-only map of its file. Summed wide and rounded once.
      weight.value = (weight.value.to(update.scalar_type()) + update).to(weight.value.scalar_type());
    }
  }
}

}  // namespace

std::unique_ptr<AdapterSet> AdapterSet::create(const Json& method, nn::SlotTable& slots, at::ScalarType dtype,
                                               at::Device device, Warnings& warnings, const BaseIdentity& base) {
  auto set = std::make_unique<AdapterSetImpl>(method, slots, warnings, base);
  MOREX_CHECK(set->trains_something(), ErrorKind::kConfig,
              "[freeze] something must be trained, every tensor is frozen for the whole run");
  set->allocate(dtype, device);
  return set;
}

std::unique_ptr<AdapterSet> AdapterSet::load(const std::filesystem::path& folder, nn::SlotTable& slots,
                                             const BaseIdentity& base, at::ScalarType dtype, at::Device device,
                                             Warnings& warnings) {
  const AdapterFolder read = open_adapter(folder, slots, warnings);
  std::unique_ptr<AdapterSetImpl> set;
  try {
    set = std::make_unique<AdapterSetImpl>(read.method, slots, warnings);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConfig) throw;
    fail(ErrorKind::kFormat, "[{}] {}", (folder / "adapter_config.json").string(), error.what());
  }
  set->allocate(dtype, device);
  if (set->moves_bases()) set->initialize(0);  // the moved base is that of a fresh adapter
  read_adapter_tensors(read, set->parameters(), base);
  return set;
}

}  // namespace morex::adapters
