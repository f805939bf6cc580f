#include "combinations.h"

#include <ostream>
#include <set>

#include "adapters/prior/table.h"
#include "adapters/router/table.h"
#include "adapters/structure/table.h"

namespace morex::test {
namespace {

using adapters::GateKind;

struct Example {
  std::string name;
  Json options;  // kind included
  bool gates_sum_to_one = true;
};

struct StructureExample : Example {
  GateKind gates = GateKind::kNone;
  bool true_gradients = true;
};

const std::vector<StructureExample>& structures() {
  static const std::vector<StructureExample> all = {
      {{"lora", {{"kind", "low_rank"}, {"r", 2}}}},
      {{"dora", {{"kind", "low_rank"}, {"r", 2}, {"use_dora", true}}}, GateKind::kNone, false},
      {{"pissa", {{"kind", "low_rank"}, {"r", 2}, {"init_lora_weights", "pissa"}}}},
      {{"moslora", {{"kind", "low_rank"}, {"r", 2}, {"mixer", true}}}},
      {{"experts", {{"kind", "low_rank_experts"}, {"r", 2}, {"num_experts", 4}}}, GateKind::kFlat},
      {{"experts_by_layer", {{"kind", "low_rank_experts"}, {"r", 2}, {"num_experts", {3, 4}}}}, GateKind::kFlat},
      {{"experts_gathered", {{"kind", "low_rank_experts"}, {"r", 2}, {"num_experts", 4}, {"execution", "gather"}}},
       GateKind::kFlat},
      {{"shared_a", {{"kind", "low_rank_experts"}, {"r", 2}, {"num_experts", 4}, {"shared_a", true}}}, GateKind::kFlat},
      {{"split_rank", {{"kind", "low_rank_experts"}, {"r", 8}, {"num_experts", 4}, {"split_rank", true}}},
       GateKind::kFlat},
      {{"ffn_experts", {{"kind", "ffn_experts"}, {"r", 2}, {"num_experts", 4}}}, GateKind::kFlat},
      {{"pairs", {{"kind", "rank_one_pairs"}, {"rank_allocation", {2, 3}}}}, GateKind::kPairs},
      {{"tree_1", {{"kind", "tree"}, {"ranks", {2}}, {"pool", {4}}, {"active", {2}}}}, GateKind::kTree},
      {{"tree_2", {{"kind", "tree"}, {"ranks", {2, 3}}, {"pool", {3, 4}}, {"active", {2, 2}}}}, GateKind::kTree},
      {{"tree_shared",
        {{"kind", "tree"}, {"ranks", {2, 2}}, {"pool", {4, 4}}, {"active", {2, 2}}, {"shared_pool", true}}},
       GateKind::kTree},
  };
  return all;
}

Json mixture_of(const Json& router, const Json& more = Json::object()) {
  Json mixture = {{"kind", "mixture_of_routers"}, {"num_routers", 2}, {"router", router}};
  mixture.update(more);
  return mixture;
}

const std::vector<Example>& routers() {
  static const Json top_k = {{"kind", "top_k"}, {"top_k", 2}};
  static const Json soft_top_k = {
      {"kind", "top_k"}, {"top_k", 2}, {"logit_temperature", {2.0, 0.5}}, {"jitter_noise", 0.2}};
  static const std::vector<Example> all = {
      {"none", {{"kind", "none"}}},
      {"softmax", {{"kind", "softmax"}}},
      {"top_k", top_k},
      {"top_k_soft", soft_top_k},
      {"top_p", {{"kind", "top_p"}, {"top_p", 0.7}}, false},
      {"switch", {{"kind", "switch"}, {"expert_capacity", 3}}, false},
      {"noisy_top_k", {{"kind", "noisy_top_k"}, {"top_k", 2}}},
      {"threshold", {{"kind", "threshold"}, {"max_threshold", 0.25}}},
      {"entropy", {{"kind", "entropy"}}, false},
      {"task", {{"kind", "task"}, {"tasks", 3}, {"task_dim", 4}}},
      {"pair_softmax", {{"kind", "pair_softmax"}}},
      {"tree_keys", {{"kind", "tree_keys"}, {"gate_dims", 3}, {"dim_downproj_x", 5}}},
      {"tree_noisy", {{"kind", "tree_keys"}, {"gate", "noisy_topk"}, {"gate_dims", 3}, {"dim_downproj_x", 5}}},
      {"tree_dense", {{"kind", "tree_keys"}, {"gate", "dense"}, {"gate_dims", 3}, {"dim_downproj_x", 5}}},
      {"tree_soft",
       {{"kind", "tree_keys"},
        {"gate_dims", 3},
        {"dim_downproj_x", 5},
        {"logit_temperature", {2.0, 0.5}},
        {"jitter_noise", 0.2}}},
      {"mor_top_k", mixture_of(top_k)},
      {"mor_soft", mixture_of(soft_top_k)},
      {"mor_logit", mixture_of(top_k, {{"combine", "logit"}})},
      {"mor_topk_then_mix", mixture_of(top_k, {{"select", "topk_then_mix"}, {"num_routers", 3}})},
      {"mor_uniform", mixture_of({{"kind", "softmax"}}, {{"weighting", "uniform"}})},
      {"mor_tree", mixture_of({{"kind", "tree_keys"}, {"gate_dims", 3}, {"dim_downproj_x", 5}})},
  };
  return all;
}

const std::vector<Example>& priors() {
  static const std::vector<Example> all = {{"plain", {{"kind", "none"}}},
                                           {"clusters", {{"kind", "clusters"}, {"gate_scale", 1.0}}}};
  return all;
}

template <typename Kind, size_t N, typename List>
void expect_complete(const Kind (&table)[N], const List& examples, const char* axis) {
  std::set<std::string> shown;
  for (const auto& example : examples) shown.insert(example.options.at("kind").template get<std::string>());
  for (const Kind& kind : table)
    MOREX_CHECK(shown.contains(std::string(kind.name)), ErrorKind::kRun,
                "[contract] every kind of {} must have an example, {} has none", axis, kind.name);
}

// Whether the axes' own declarations say that the two go together.
bool gives(const Json& router, GateKind gates) {
  const adapters::RouterKind& kind = adapters::find_router(router.at("kind"), "router");
  if (!kind.gives(gates)) return false;
  return !router.contains("router") || adapters::find_router(router["router"].at("kind"), "router").gives(gates);
}

}  // namespace

void PrintTo(const Combination& item, std::ostream* out) { *out << item.name; }

std::vector<Combination> all_combinations() {
  expect_complete(adapters::kStructures, structures(), "structure");
  expect_complete(adapters::kRouters, routers(), "router");
  expect_complete(adapters::kPriors, priors(), "prior");
  std::vector<Combination> all;
  for (const StructureExample& experts : structures()) {
    for (const Example& router : routers()) {
      for (const Example& prior : priors()) {
        Combination made;
        made.name = experts.name + "__" + router.name + "__" + prior.name;
        made.method = {{"target_modules", {"gate_proj", "up_proj", "down_proj"}},
                       {"experts", experts.options},
                       {"router", router.options},
                       {"prior", prior.options}};
        made.fits = gives(router.options, experts.gates) &&
                    adapters::find_prior(prior.options.at("kind"), "prior").fits(experts.gates);
        // The base's own block is among the experts: unless their gates sum to one, it is scaled.
        made.neutral_start = experts.options.at("kind") != "ffn_experts" ||
                             (router.gates_sum_to_one && prior.options.at("kind") == "none");
        made.true_gradients = experts.true_gradients;
        all.push_back(std::move(made));
      }
    }
  }
  return all;
}

}  // namespace morex::test
