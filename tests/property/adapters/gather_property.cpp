// The two executors of flat experts: gather must give what dense gives, to rounding, outputs, losses and gradients.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "../../golden/adapters/one_site.h"
#include "base/random.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

struct Shape {
  int64_t sequences, length, d_in, d_out, rank, experts;
  int64_t tokens() const { return sequences * length; }
};

at::Tensor normal(const std::string& name, at::IntArrayRef shape, uint64_t seed) {
  const at::Tensor values = at::ones(shape, at::kDouble);
  fill_normal({seed, stream_id(name), 0}, 0, {values.data_ptr<double>(), static_cast<size_t>(values.numel())});
  return values;
}

rc::Gen<Json> flat_router(int64_t experts) {
  return rc::gen::exec([experts] {
    const auto k = *rc::gen::inRange<int64_t>(1, experts + 1);
    const std::vector<Json> alone = {{{"kind", "top_k"}, {"top_k", k}},
                                     {{"kind", "top_k"}, {"top_k", k}, {"renormalise", false}},
                                     {{"kind", "top_p"}, {"top_p", *rc::gen::element(0.3, 0.7, 1.0)}},
                                     {{"kind", "noisy_top_k"}, {"top_k", k}},
                                     {{"kind", "threshold"}},
                                     {{"kind", "threshold"}, {"threshold", *rc::gen::element(0.0, 0.2, 0.9)}},
                                     {{"kind", "entropy"}, {"keep_top_k", *rc::gen::inRange<int64_t>(0, experts + 1)}},
                                     {{"kind", "switch"}, {"expert_capacity", *rc::gen::inRange<int64_t>(0, 4)}},
                                     {{"kind", "softmax"}}};
    Json router = *rc::gen::elementOf(alone);
    if (*rc::gen::arbitrary<bool>()) router["jitter_noise"] = 0.1;
    if (!*rc::gen::arbitrary<bool>()) return router;
    Json mixture = {{"kind", "mixture_of_routers"}, {"num_routers", *rc::gen::inRange<int64_t>(1, 4)}};
    if (router["kind"] != "switch")
      mixture["select"] = *rc::gen::element<std::string>("mix_then_topk", "topk_then_mix", "topk_mix_topk");
    mixture["router"] = router;
    return mixture;
  });
}

struct Result {
  at::Tensor y, loss, dx, grads;
};

// One forward and backward pass with numbers that depend on nothing but the names.
Result run(const Shape& s, Json recipe, const char* execution, at::ScalarType dtype, uint64_t seed, bool ties) {
  recipe["experts"]["execution"] = execution;
  OneSite site(normal("base", {s.d_out, s.d_in}, seed).to(dtype), {}, recipe);
  {
    const at::NoGradGuard guard;
    for (const std::string& name : site.names()) {
      const at::Tensor value = site.value(name);
      value.copy_(normal(name, value.sizes(), seed) * 0.5);
      if (ties && name.find("moe_gate") != std::string::npos) value.copy_((value * 2).round());
    }
  }
  nn::BatchContext ctx;
  ctx.batch = s.sequences;
  ctx.length = s.length;
  ctx.seed = seed;
  ctx.phase = nn::Phase::kTrain;
  ctx.token_mask = at::ones({s.sequences, s.length}, at::kBool);
  ctx.token_mask.narrow(1, s.length - 1, 1).fill_(false);
  ctx.per_sequence["cluster_scores"] = normal("scores", {s.sequences, s.experts}, seed).to(dtype);
  at::Tensor x = normal("x", {s.tokens(), s.d_in}, seed);
  if (ties) x = x.round();  // equal rows and exactly equal logits
  x = x.to(dtype).requires_grad_(true);
  nn::RoutingReport report;
  const at::Tensor y = site.forward(x, ctx, report), loss = site.set->auxiliary_loss(report);
  ((y * normal("weights", y.sizes(), seed).to(dtype)).sum() + loss).backward();
  return {y.detach(), loss.detach(), x.grad(), site.set->parameters().grads().clone()};
}

TEST(GatherProperty, Equals_dense_for_every_flat_router) {
  const bool holds = rc::check([] {
    const Shape s{*rc::gen::inRange<int64_t>(1, 4), *rc::gen::inRange<int64_t>(1, 9), *rc::gen::inRange<int64_t>(1, 9),
                  *rc::gen::inRange<int64_t>(1, 9), *rc::gen::inRange<int64_t>(1, 5), *rc::gen::inRange<int64_t>(1, 7)};
    Json recipe = {{"experts",
                    {{"kind", "low_rank_experts"},
                     {"r", s.rank},
                     {"lora_alpha", 3},
                     {"num_experts", s.experts},
                     {"lora_dropout", *rc::gen::element(0.0, 0.3)}}},
                   {"router", *flat_router(s.experts)},
                   {"losses", {{{"kind", "balance"}, {"coef", 0.3}}, {{"kind", "z"}, {"coef", 0.1}}}}};
    if (*rc::gen::arbitrary<bool>()) recipe["prior"] = {{"kind", "clusters"}, {"gate_scale", 1.0}};
    const auto seed = *rc::gen::inRange<uint64_t>(0, 1000);
    const bool ties = *rc::gen::arbitrary<bool>();
    RC_LOG() << recipe.dump();
    // In float32 a choice may hang on the last bit: there, only ties that are exact are compared besides float64.
    const at::ScalarType dtype = ties && *rc::gen::arbitrary<bool>() ? at::kFloat : at::kDouble;
    const Result dense = run(s, recipe, "dense", dtype, seed, ties),
                 gather = run(s, recipe, "gather", dtype, seed, ties);
    const double bound = dtype == at::kDouble ? 1e-11 : 2e-5;
    const auto agree = [&](const at::Tensor& a, const at::Tensor& b) {
      return near(a, b, bound * (1.0 + b.abs().max().item<double>()));
    };
    RC_ASSERT(bool(agree(gather.y, dense.y)));
    RC_ASSERT(bool(agree(gather.loss, dense.loss)));
    RC_ASSERT(bool(agree(gather.dx, dense.dx)));
    RC_ASSERT(bool(agree(gather.grads, dense.grads)));
  });
  EXPECT_TRUE(holds);
}

// Gathered and dense experts, and plain LoRA, in one group of projections.
TEST(GatherProperty, Lives_beside_other_methods) {
  const auto outputs = [](const char* execution) {
    nn::LinearGroup group;
    group.layer = 0;
    for (const char* name : {"q_proj", "k_proj", "v_proj"})
      group.members.push_back({"model.layers.0.self_attn." + std::string(name), {normal(name, {6, 5}, 1), false}, {}});
    nn::SlotTable slots;
    slots.groups = {&group};
    Warnings warnings(false, false);
    const auto entry = [](const char* target, const Json& more) {
      Json made = {{"target_modules", {target}}};
      made.update(more);
      return made;
    };
    const Json experts = {{"kind", "low_rank_experts"}, {"r", 2}, {"num_experts", 3}};
    Json other = experts;
    other["execution"] = execution;
    const auto set =
        adapters::AdapterSet::create({{"adapters",
                                       {entry("q_proj", {{"experts", experts}, {"router", {{"kind", "top_k"}}}}),
                                        entry("k_proj", {{"experts", other}, {"router", {{"kind", "top_p"}}}}),
                                        entry("v_proj", {{"method", "lora"}})}}},
                                     slots, at::kDouble, at::kCPU, warnings);
    {
      const at::NoGradGuard guard;
      for (const nn::NamedView& view : set->parameters().views())
        set->parameters().named_value(view).copy_(normal(view.name, set->parameters().named_value(view).sizes(), 2));
    }
    set->attach();
    nn::BatchContext ctx;
    ctx.batch = 1;
    ctx.length = 7;
    nn::RoutingReport report;
    const at::Tensor x = normal("x", {7, 5}, 3).requires_grad_(true);
    std::vector<at::Tensor> y = group.forward(x, ctx, report);
    (y[0].sum() + y[1].square().sum() + y[2].sum()).backward();
    return std::vector{y[0].detach(), y[1].detach(), y[2].detach(), x.grad(), set->parameters().grads().clone()};
  };
  const std::vector<at::Tensor> dense = outputs("dense"), gather = outputs("gather");
  for (size_t i = 0; i < dense.size(); ++i) EXPECT_TRUE(near(gather[i], dense[i], 1e-11)) << i;
}

}  // namespace
}  // namespace morex::test
