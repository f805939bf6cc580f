// T-REX against numbers worked out by hand (its specification's test cases), and identities that every correct form
// satisfies.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "../../golden/adapters/one_site.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

at::Tensor numbers(const std::vector<double>& values, at::IntArrayRef shape) {
  return at::tensor(values, at::kDouble).view(shape);
}

Json trex(int64_t r1, int64_t r2) {
  return {{"experts", {{"kind", "rank_one_pairs"}, {"rank_allocation", {r1, r2}}}},
          {"router", {{"kind", "pair_softmax"}}},
          {"prior", {{"kind", "clusters"}}}};
}

// One projection with T-REX on it; the numbers of the specification's T4.
struct Trex {
  explicit Trex(const Json& recipe, const at::Tensor& weight = numbers({0.5, -1, 0.25, 1, 0, -0.5}, {2, 3}))
      : site(weight, {}, recipe) {}

  void set(const std::string& name, const at::Tensor& value) {
    const at::NoGradGuard guard;
    site.value(name).copy_(value);
  }
  void set_t4() {
    set("lora_A.weight", numbers({1, 2, 0.5, 0, -1, 1}, {2, 3}));
    set("lora_B.weight", numbers({1, 0, -1, 0.5, 2, 0}, {2, 3}));
    set("router.weight", numbers({0.1, 0, 0, 0, 0.2, 0, 0, 0, -0.1, 0.3, 0, 0, 0, -0.2, 0, 0, 0, 0.4}, {6, 3}));
    set("omg.weight", numbers({0.005}, {1, 1}));
    set("binary_main_gate_weight.weight", numbers({-0.01}, {1, 1}));
  }
  // x [B·L, d], scores [B or 1, E] or undefined.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& scores, int64_t batch = 1) {
    nn::BatchContext ctx;
    ctx.batch = batch;
    ctx.length = x.size(0) / batch;
    if (scores.defined()) ctx.per_sequence["cluster_scores"] = scores;
    report = {};
    report.keep_details = true;
    return site.forward(x, ctx, report);
  }
  at::Tensor detail(const std::string& name) const { return report.details.at(kSiteModule + "." + name); }

  OneSite site;
  nn::RoutingReport report;
};

const std::vector<double> kX = {1, -0.5, 2}, kS = {0.1, 0.2, 0.3, -0.1, 0, 0.5};

at::Tensor t4_x() { return numbers(kX, {1, 3}); }
at::Tensor t4_s() { return numbers(kS, {1, 6}); }

TEST(Trex, Tiny_forward_has_the_numbers_of_the_specification) {
  Trex t(trex(2, 3));
  t.set_t4();
  const at::Tensor y = t.forward(t4_x(), t4_s());
  EXPECT_TRUE(near(y.detach(), numbers({-0.5478344337, 6.9628874130}, {1, 2}), 1e-9));
  EXPECT_TRUE(near(
      t.detail("p").detach(),
      numbers({0.1471734362, 0.1204954182, 0.1090287631, 0.1797580408, 0.1471734362, 0.2963709055}, {1, 6}), 1e-9));
  EXPECT_TRUE(near(
      t.detail("m").detach(),
      numbers({3.0825195840, 2.7021444530, 2.6247598734, 3.4295299688, 2.9315033165, 6.6584040781}, {1, 6}), 1e-9));
}

TEST(Trex, Tiny_backward_has_the_numbers_of_the_specification) {
  Trex t(trex(2, 3));
  t.set_t4();
  const at::Tensor x = t4_x().requires_grad_(true);
  (t.forward(x, t4_s()) * numbers({1, -2}, {1, 2})).sum().backward();
  EXPECT_TRUE(near(t.site.grad("lora_B.weight"),
                   numbers({3.134873859, 2.697725242, 5.182708293, -6.269747719, -5.395450483, -10.365416586}, {2, 3}),
                   1e-8));
  EXPECT_TRUE(near(t.site.grad("lora_A.weight"),
                   numbers({-3.612780931, 1.806390465, -7.225561862, -4.944331332, 2.472165666, -9.888662663}, {2, 3}),
                   1e-8));
  const at::Tensor dz = numbers({2.210422535, -0.772217136, 1.053458227, 2.699816181, -5.673604152, 0.482124343}, {6});
  EXPECT_TRUE(near(t.site.grad("router.weight"), at::outer(dz, numbers(kX, {3})), 1e-8));
  EXPECT_NEAR(t.site.grad("omg.weight").item<double>(), -507.624567655, 1e-6);
  EXPECT_NEAR(t.site.grad("binary_main_gate_weight.weight").item<double>(), -1167.764408096, 1e-6);
  EXPECT_TRUE(near(x.grad(), numbers({-4.081793823, -2.300953127, -5.413217882}, {1, 3}), 1e-8));
}

TEST(Trex, A_fresh_adapter_is_the_base_and_only_B_learns) {
  Trex t(trex(2, 3));
  t.site.set->initialize(7);
  t.set("lora_A.weight", numbers({1, 2, 0.5, 0, -1, 1}, {2, 3}));
  const at::Tensor y = t.forward(t4_x(), t4_s());
  EXPECT_TRUE(same_bits(y.detach(), numbers({1.5, 0}, {1, 2})));
  (y * numbers({1, -2}, {1, 2})).sum().backward();
  EXPECT_TRUE(near(
      t.site.grad("lora_B.weight"),
      numbers({4.5166666667, 4.8666666667, 6.2166666667, -9.0333333333, -9.7333333333, -12.4333333333}, {2, 3}), 1e-9));
  for (const char* name : {"lora_A.weight", "router.weight", "omg.weight", "binary_main_gate_weight.weight"})
    EXPECT_TRUE(t.site.grad(name).eq(0).all().item<bool>()) << name;
}

TEST(Trex, Scores_belong_to_sequences_and_one_row_serves_all) {
  Trex t(trex(2, 3));
  t.set_t4();
  const at::Tensor x = numbers({1, -0.5, 2, 0, 1, -1, 1, -0.5, 2, 0, 1, -1}, {4, 3});
  const at::Tensor scores = numbers({0.1, 0.2, 0.3, -0.1, 0, 0.5, 0.4, -0.2, 0, 0.1, 0.6, -0.3}, {2, 6});
  const at::Tensor expected = numbers({-0.5478344337, 6.9628874130, -1.6371419370, 0.9430628439, 0.7112159850,
                                       8.0188651835, -2.0839017630, -0.5089065906},
                                      {4, 2});
  EXPECT_TRUE(near(t.forward(x, scores, 2).detach(), expected, 1e-9));
  EXPECT_TRUE(near(t.forward(x.narrow(0, 0, 2), t4_s(), 2).detach(), expected.narrow(0, 0, 2), 1e-9));
}

TEST(Trex, Without_scores_omega_still_weighs) {
  Json recipe = trex(2, 3);
  recipe["prior"]["use_scores"] = false;
  Trex t(recipe);
  t.set_t4();
  const at::Tensor y = t.forward(t4_x(), {}).detach();
  EXPECT_TRUE(near(y, numbers({0.1426125701, 6.8308901916}, {1, 2}), 1e-9));
  Trex zero(trex(2, 3));
  zero.set_t4();
  EXPECT_TRUE(same_bits(zero.forward(t4_x(), at::zeros({1, 6}, at::kDouble)).detach(), y));
}

TEST(Trex, Saturated_omega_leaves_one_side) {
  Trex t(trex(2, 3));
  t.set_t4();
  t.set("binary_main_gate_weight.weight", at::zeros({1, 1}, at::kDouble));
  t.set("omg.weight", numbers({1.0}, {1, 1}));
  const at::Tensor routed = t.forward(t4_x(), t4_s()).detach();
  EXPECT_TRUE(near(routed, numbers({-2.5541998183, 20.4022765815}, {1, 2}), 1e-9));
  t.set("omg.weight", numbers({5.0}, {1, 1}));
  EXPECT_TRUE(same_bits(t.forward(t4_x(), t4_s()).detach(), t.forward(t4_x(), t4_s() * -3).detach()));
  t.set("omg.weight", numbers({-20.0}, {1, 1}));
  t.site.set->parameters().zero_grads();
  const at::Tensor prior_only = t.forward(t4_x(), t4_s());
  EXPECT_TRUE(near(prior_only.detach(), numbers({-1.9, 0.65}, {1, 2}), 1e-12));
  prior_only.sum().backward();
  EXPECT_TRUE(t.site.grad("router.weight").eq(0).all().item<bool>());
}

TEST(Trex, Matched_layout_has_the_numbers_of_the_specification) {
  Json recipe = trex(2, 2);
  recipe["experts"]["layout"] = "matched";
  recipe["prior"].update({{"token_coefficient", 32.0}, {"task_coefficient", 4.0}});
  Trex t(recipe);
  t.set("lora_A.weight", numbers({1, 2, 0.5, 0, -1, 1}, {2, 3}));
  t.set("lora_B.weight", numbers({1, -1, 0.5, 2}, {2, 2}));
  t.set("router.weight", numbers({0.1, 0, 0, 0, 0.2, 0}, {2, 3}));
  t.set("omg.weight", numbers({0.005}, {1, 1}));
  t.set("binary_main_gate_weight.weight", numbers({-0.01}, {1, 1}));
  const at::Tensor y = t.forward(t4_x(), numbers({0.1, -0.2}, {1, 2}));
  EXPECT_TRUE(near(y.detach(), numbers({-1.3396790581, 13.1444955448}, {1, 2}), 1e-9));
}

// Random-looking values, each tensor its own.
at::Tensor filler(double t, at::IntArrayRef shape) {
  return at::sin(at::arange(c10::multiply_integers(shape), at::kDouble) * 0.731 + t).view(shape);
}

struct Random : Trex {
  explicit Random(const Json& recipe, int64_t r1, int64_t r2) : Trex(recipe, filler(0.1, {5, 7})) {
    set("lora_A.weight", filler(0.2, {r1, 7}));
    set("lora_B.weight", filler(0.3, {5, r2}));
    set("router.weight", filler(0.4, {r1 * r2, 7}));
    set("omg.weight", numbers({0.004}, {1, 1}));
    set("binary_main_gate_weight.weight", numbers({0.003}, {1, 1}));
  }
};

TEST(Trex, The_update_is_the_sum_over_pairs_and_one_matrix_per_token) {
  Random t(trex(2, 3), 2, 3);
  const at::Tensor x = filler(0.5, {8, 7}), scores = filler(0.6, {2, 6});
  const at::Tensor y = t.forward(x, scores, 2).detach();
  const at::Tensor a = t.site.value("lora_A.weight").detach(), b = t.site.value("lora_B.weight").detach();
  const double gamma = t.detail("gamma").item<double>();
  for (int64_t n = 0; n < 8; ++n) {
    const at::Tensor m = t.detail("m").detach()[n].view({2, 3});
    at::Tensor sum = at::mv(t.site.group.members[0].weight.value, x[n]);
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t j = 0; j < 3; ++j) sum = sum + gamma * m[i][j] * a[i].dot(x[n]) * b.select(1, j);
    EXPECT_TRUE(near(y[n], sum, 1e-12));
    const at::Tensor merged = t.site.group.members[0].weight.value + gamma * at::mm(b, at::mm(m.t(), a));
    EXPECT_TRUE(near(y[n], at::mv(merged, x[n]), 1e-12));
  }
}

TEST(Trex, Equal_scores_add_the_same_to_every_pair) {
  Random t(trex(2, 3), 2, 3);
  const at::Tensor x = filler(0.5, {4, 7});
  t.forward(x, at::zeros({1, 6}, at::kDouble));
  const at::Tensor without = t.detail("m").detach();
  t.forward(x, at::zeros({1, 6}, at::kDouble) + 0.25);
  const double omega = t.detail("omega").item<double>();
  EXPECT_TRUE(near(t.detail("m").detach() - without, at::zeros({4, 6}, at::kDouble) + 4 * (1 - omega) * 0.25, 1e-12));
}

TEST(Trex, Top_k_over_all_pairs_is_dense_and_fewer_keep_the_largest) {
  const at::Tensor x = filler(0.5, {4, 7}), scores = filler(0.6, {1, 6});
  Random dense(trex(2, 3), 2, 3);
  const at::Tensor y = dense.forward(x, scores).detach();
  for (const char* axis : {"router", "prior"}) {
    Json recipe = trex(2, 3);
    recipe[axis]["top_k"] = 6;
    Random all(recipe, 2, 3);
    EXPECT_TRUE(same_bits(all.forward(x, scores).detach(), y)) << axis;
  }
  Json recipe = trex(2, 3);
  recipe["prior"]["top_k"] = 2;
  Random two(recipe, 2, 3);
  two.forward(x, scores);
  EXPECT_TRUE(two.detail("m").ne(0).sum(1).eq(2).all().item<bool>());
}

TEST(Trex, Other_routers_weigh_pairs_as_well) {
  const at::Tensor x = filler(0.5, {4, 7}), scores = filler(0.6, {1, 6});
  for (const Json& router : {Json{{"kind", "top_k"}, {"top_k", 2}}, Json{{"kind", "softmax"}},
                             Json{{"kind", "mixture_of_routers"}, {"router", {{"kind", "pair_softmax"}}}}}) {
    Json recipe = trex(2, 3);
    recipe["router"] = router;
    Trex t(recipe, filler(0.1, {5, 7}));
    t.site.set->initialize(3);
    t.set("lora_B.weight", filler(0.3, {5, 3}));
    const at::Tensor y = t.forward(x, scores);
    y.square().sum().backward();
    for (const std::string& name : t.site.names())
      if (name.starts_with("moe_gate.")) {
        EXPECT_FALSE(t.site.grad(name).eq(0).all().item<bool>()) << router.dump() << " " << name;
      }
    EXPECT_EQ(t.detail("m").size(1), router["kind"] == "top_k" ? 2 : 6);
  }
}

TEST(Trex, A_chunked_middle_gives_the_same) {
  // More tokens than one chunk holds.
  Random t(trex(2, 3), 2, 3);
  const int64_t length = (int64_t{1} << 20) / 6 + 100;
  const at::Tensor x = filler(0.5, {length, 7}), scores = filler(0.6, {1, 6});
  const at::Tensor y = t.forward(x, scores).detach(), p = t.detail("p");
  EXPECT_EQ(p.size(0), length);
  EXPECT_EQ(t.detail("gamma").numel(), 1);
  EXPECT_TRUE(near(t.forward(x.narrow(0, length - 5, 5), scores).detach(), y.narrow(0, length - 5, 5), 1e-12));
}

void refused(const Json& recipe, const std::string& part) {
  try {
    Trex t(recipe);
    FAIL() << "not refused: " << recipe.dump();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Trex, What_cannot_be_is_refused) {
  const auto changed = [](const char* axis, const Json& change) {
    Json recipe = trex(2, 3);
    recipe[axis].update(change);
    return recipe;
  };
  refused(changed("experts", {{"rank_allocation", {2}}}), "rank_allocation");
  refused(changed("experts", {{"rank_allocation", {0, 3}}}), "rank_allocation");
  refused({{"experts", {{"kind", "rank_one_pairs"}}}, {"router", {{"kind", "pair_softmax"}}}}, "rank_allocation");
  refused(changed("experts", {{"layout", "matched"}}), "equal numbers");
  refused(changed("experts", {{"layout", "paris"}}), "pairs");
  refused(changed("experts", {{"num_experts", 3}}), "num_experts");
  refused(changed("experts", {{"layout", "interleaved"}, {"rank_allocation", {6, 6}}, {"num_experts", 4}}), "divide");
  refused(changed("experts", {{"r", 6}}), "'r'");
  refused(changed("router", {{"top_k", 7}}), "top_k");
  refused(changed("router", {{"kind", "tree_keys"}}), "pair_softmax");
  refused(changed("prior", {{"top_k", 0}}), "top_k");
  refused(changed("prior", {{"token_coeficient", 1}}), "token_coefficient");
}

TEST(Trex, Scores_that_are_missing_or_misshapen_are_refused) {
  Random t(trex(2, 3), 2, 3);
  const at::Tensor x = filler(0.5, {4, 7});
  EXPECT_THROW(t.forward(x, {}), Error);
  EXPECT_THROW(t.forward(x, filler(0.6, {1, 5})), Error);
  EXPECT_THROW(t.forward(x, filler(0.6, {3, 6}), 2), Error);
  EXPECT_NE(t.site.set->why_not_mergeable().find("token"), std::string::npos);
  EXPECT_EQ(t.site.set->sequence_needs().clusters, std::vector<int64_t>{6});
}

}  // namespace
}  // namespace morex::test
