#include "adapters/make_site.h"

#include "base/error.h"

namespace morex::adapters {
namespace {

std::string kind_of(const Json& axis, const char* where) {
  return JsonReader(axis, where, ErrorKind::kConfig).get<std::string>("kind");
}

// The LoRA that stands beside a block's experts.
Json beside_block(const Json& experts) {
  Json lora = {{"kind", "low_rank"}};
  for (const char* key : {"r", "lora_alpha", "lora_dropout", "use_rslora", "init_lora_weights"})
    if (experts.contains(key)) lora[key] = experts[key];
  return lora;
}

int64_t picks_of(const Json& router) {
  const RouterKind& kind = find_router(kind_of(router, "router"), "router");
  return kind.picks == nullptr ? 0 : kind.picks(router);
}

}  // namespace

bool takes_blocks(const MethodEntry& entry) {
  return find_structure(kind_of(entry.experts, "experts"), "experts").make_block != nullptr;
}

BankSite make_site(const MethodEntry& entry, const nn::LinearGroup& group, size_t index, Warnings& warnings) {
  static const Json kNone = {{"kind", "none"}};
  const bool beside = takes_blocks(entry);
  const nn::LinearMember& member = group.members[index];
  BankSite made;
  made.site = {member.module, group.layer, member.weight.in_features(), member.weight.out_features()};
  made.member = &member;
  made.member_index = static_cast<int64_t>(index);
  MOREX_CHECK(!beside || entry.start == nullptr, ErrorKind::kConfig,
              "[experts] init_from with experts of kind ffn_experts takes LoRAs on the feed-forward projections alone, "
              "{} is named too. Hint: target_modules: [gate_proj, up_proj, down_proj]",
              member.module);
  const Json given = entry.experts_of(member.module), experts = beside ? beside_block(given) : given;
  const Json& router = beside ? kNone : entry.router;
  const StructureKind& structure = find_structure(kind_of(experts, "experts"), "experts");
  const RouterKind& router_kind = find_router(kind_of(router, "router"), "router");
  made.structure = structure.make(
      {experts, made.site, router_kind.fills_all(router), warnings, picks_of(router), &member, entry.start});
  Routing routing =
      make_routing(router, beside ? kNone : entry.prior, made.structure->gates(), made.site, structure.name, warnings);
  made.router = std::move(routing.router);
  made.prior = std::move(routing.prior);
  made.needs = loss_needs(entry.losses);
  made.rules = entry.rules;
  return made;
}

std::unique_ptr<BlockAdapter> make_block(const MethodEntry& entry, const nn::Mlp& mlp, Warnings& warnings) {
  const std::string& gate = mlp.gate_up.members[0].module;
  const Json experts = entry.experts_of(gate);
  for (const nn::LinearMember* member : {&mlp.gate_up.members[1], &mlp.down.members[0]})
    MOREX_CHECK(entry.experts_of(member->module) == experts, ErrorKind::kConfig,
                "[rank_pattern, alpha_pattern] the projections of one feed-forward block must have one rank and alpha "
                "with experts of kind {}, {} and {} differ",
                kind_of(experts, "experts"), gate, member->module);
  return find_structure(kind_of(experts, "experts"), "experts")
      .make_block({experts, entry.router, entry.prior, mlp, picks_of(entry.router), loss_needs(entry.losses),
                   entry.rules, entry.start, warnings});
}

}  // namespace morex::adapters
