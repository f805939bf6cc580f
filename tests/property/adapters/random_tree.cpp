#include "random_tree.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <rapidcheck.h>

#include "base/random.h"

namespace morex::test {

at::Tensor test_numbers(uint64_t seed, const std::string& name, at::IntArrayRef shape) {
  const at::Tensor values = at::empty(shape, at::kDouble);
  fill_uniform({seed, stream_id(name), 0}, 0, {values.data_ptr<double>(), static_cast<size_t>(values.numel())});
  return values * 2.0 - 1.0;
}

RandomTree random_tree() {
  RandomTree tree;
  const auto number = [](int64_t low, int64_t high) { return *rc::gen::inRange<int64_t>(low, high + 1); };
  const auto one_of = [&](const std::vector<std::string>& names) {
    return names[static_cast<size_t>(number(0, static_cast<int64_t>(names.size()) - 1))];
  };
  const int64_t levels = number(1, 3);
  const std::string gate = one_of({"switch", "noisy_topk", "dense"});
  const bool shared = number(0, 3) == 0;
  Json ranks = Json::array(), pool = Json::array(), active = Json::array(), dims = Json::array(), alpha = Json::array();
  for (int64_t l = 0; l < levels; ++l) {
    ranks.push_back(shared && l > 0 ? ranks[0].get<int64_t>() : number(1, 3));
    pool.push_back(shared && l > 0 ? pool[0].get<int64_t>() : number(2, 4));
    active.push_back(number(1, pool[static_cast<size_t>(l)].get<int64_t>() - (gate == "noisy_topk" ? 1 : 0)));
    // Unit vectors of one dimension are ±1: every choice of the noisy gate would be a tie.
    dims.push_back(number(gate == "noisy_topk" ? 2 : 1, 3));
    alpha.push_back(number(1, 6));
  }
  tree.recipe = {{"experts",
                  {{"kind", "tree"},
                   {"ranks", ranks},
                   {"pool", pool},
                   {"active", active},
                   {"activation", one_of({"identity", "tanh", "relu", "prelu|0.3"})},
                   {"activation_position", one_of({"all", "child", "child_v2"})},
                   {"alpha", number(0, 1) == 0 ? Json() : alpha},
                   {"init", "normal"},
                   {"shared_pool", shared}}},
                 {"router",
                  {{"kind", "tree_keys"},
                   {"gate", gate},
                   {"gate_dims", dims},
                   {"gate_activation", one_of({"identity", "tanh", "relu", "prelu|0.3"})},
                   {"dim_downproj_x", number(1, 4)}}},
                 {"losses", Json::array({{{"kind", "balance"}, {"coef", 0.5}}})}};
  tree.d_in = number(2, 6);
  tree.d_out = number(1, 6);
  tree.tokens = number(1, 9);
  tree.seed = static_cast<uint64_t>(number(0, 1 << 20));
  tree.training = number(0, 1) == 1;
  tree.masked = number(0, 1) == 1;
  RC_LOG() << tree.recipe.dump() << " seed " << tree.seed << " training " << tree.training;
  return tree;
}

std::unique_ptr<OneSite> RandomTree::build(at::ScalarType dtype) const {
  auto site = std::make_unique<OneSite>(test_numbers(seed, "weight", {d_out, d_in}).to(dtype),
                                        test_numbers(seed, "bias", {d_out}).to(dtype), recipe);
  const at::NoGradGuard guard;
  for (const std::string& name : site->names()) {
    const at::Tensor value = site->value(name);
    value.copy_(test_numbers(seed, name, value.sizes()));
  }
  return site;
}

at::Tensor RandomTree::input() const { return test_numbers(seed, "x", {tokens, d_in}); }

std::vector<at::Tensor> RandomTree::noise() const {
  std::vector<at::Tensor> noise;
  const Json &experts = recipe.at("experts"), &router = recipe.at("router");
  if (!training || router.at("gate") != "noisy_topk") return noise;
  const size_t levels = experts.at("ranks").size();
  noise.resize(levels);
  int64_t parents = 1;
  for (size_t l = levels; l-- > 0;) {
    noise[l] = test_numbers(seed, "noise" + std::to_string(l), {tokens, parents, experts["pool"][l].get<int64_t>()});
    parents *= experts["active"][l].get<int64_t>();
  }
  return noise;
}

nn::BatchContext RandomTree::context() const {
  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = tokens;
  ctx.phase = training ? nn::Phase::kTrain : nn::Phase::kPrefill;
  ctx.seed = seed;
  if (masked) ctx.token_mask = test_numbers(seed, "mask", {1, tokens}) > -0.4;
  const std::vector<at::Tensor> given = noise();
  for (size_t l = 0; l < given.size(); ++l) ctx.given_noise[kSiteModule + "." + std::to_string(l)] = given[l];
  return ctx;
}

std::map<std::string, at::Tensor> RandomTree::tensors(const OneSite& site) const {
  std::map<std::string, at::Tensor> all;
  for (const std::string& name : site.names()) all[name] = site.value(name).to(at::kDouble).contiguous();
  return all;
}

}  // namespace morex::test
