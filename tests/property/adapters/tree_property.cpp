// S'MoRE over random configurations: against the naive form, central differences, invariances, counts.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "random_tree.h"
#include "support/golden_tensors.h"
#include "tree_reference.h"

namespace morex::test {
namespace {

at::Tensor forward(const OneSite& site, const at::Tensor& x, const nn::BatchContext& ctx) {
  nn::RoutingReport report;
  return site.forward(x, ctx, report).detach();
}

at::Tensor base_output(const OneSite& site, const at::Tensor& x) {
  return at::mm(x, site.group.members[0].weight.value.t()) + site.group.members[0].bias;
}

TEST(TreeProperty, Equals_the_naive_form) {
  const bool holds = rc::check([] {
    const RandomTree tree = random_tree();
    const auto site = tree.build();
    const at::Tensor x = tree.input();
    const nn::BatchContext ctx = tree.context();
    nn::RoutingReport report;
    report.keep_details = true;
    const at::Tensor y = site->forward(x, ctx, report).detach();
    const at::Tensor mask = ctx.token_mask.defined() ? ctx.token_mask[0].to(at::kDouble) : at::Tensor();
    const TreeReferenceResult naive = tree_reference(tree.recipe, tree.tensors(*site), x, mask, tree.noise());
    const at::Tensor expected = base_output(*site, x) + naive.update;
    RC_ASSERT(near(y, expected, 1e-12 * (1.0 + expected.abs().max().item<double>())));
    const at::Tensor aux = site->set->auxiliary_loss(report);
    RC_ASSERT(aux.defined() == (tree.recipe["router"]["gate"] != "dense"));
    if (aux.defined()) {
      RC_ASSERT(std::abs(aux.item<double>() - 0.5 * naive.balance) <= 1e-11 * (1.0 + naive.balance));
    }
    for (size_t l = 0; l < naive.ids.size(); ++l) {
      const auto found = report.details.find(kSiteModule + ".level" + std::to_string(l) + ".ids");
      if (found == report.details.end()) continue;
      // The naive walk is depth first; counts by expert do not depend on the order.
      std::vector<int64_t> counts(4, 0), expected_counts(4, 0);
      const at::Tensor flat = found->second.reshape({-1});
      for (int64_t i = 0; i < flat.numel(); ++i) ++counts[static_cast<size_t>(flat[i].item<int64_t>())];
      for (const int64_t id : naive.ids[l]) ++expected_counts[static_cast<size_t>(id)];
      RC_ASSERT(counts == expected_counts);
    }
  });
  EXPECT_TRUE(holds);
}

double loss_of(const OneSite& site, const at::Tensor& x, const nn::BatchContext& ctx, const at::Tensor& g) {
  const at::NoGradGuard guard;
  nn::RoutingReport report;
  const at::Tensor y = site.forward(x, ctx, report);
  const at::Tensor aux = site.set->auxiliary_loss(report);
  return (y * g).sum().item<double>() + (aux.defined() ? aux.item<double>() : 0.0);
}

// Switch's fractions T are constants of the loss: a difference quotient sees them move only across a flip, which these
// small steps do not reach.
TEST(TreeProperty, Gradients_equal_central_differences) {
  const bool holds = rc::check([] {
    const RandomTree tree = random_tree();
    const auto site = tree.build();
    const nn::BatchContext ctx = tree.context();
    const at::Tensor x = tree.input().requires_grad_(true), g = test_numbers(tree.seed, "g", {tree.tokens, tree.d_out});
    nn::RoutingReport report;
    at::Tensor loss = (site->forward(x, ctx, report) * g).sum();
    const at::Tensor aux = site->set->auxiliary_loss(report);
    if (aux.defined()) loss = loss + aux;
    loss.backward();

    const double step = 1e-6;
    const auto quotient = [&](const at::Tensor& element, const at::Tensor& input) {
      const at::NoGradGuard guard;
      const at::Tensor kept = element.clone();
      element.copy_(kept + step);
      const double up = loss_of(*site, input, ctx, g);
      element.copy_(kept - step);
      const double down = loss_of(*site, input, ctx, g);
      element.copy_(kept);
      return (up - down) / (2.0 * step);
    };
    const auto compare = [&](const at::Tensor& tensor, const at::Tensor& grad, const at::Tensor& input) {
      const at::Tensor flat = tensor.detach(), flat_grad = grad.reshape({-1});
      const auto at = static_cast<int64_t>(tree.seed % static_cast<uint64_t>(flat.numel()));
      at::Tensor element = flat;
      int64_t rest = at;
      for (int64_t d = 0; d < flat.dim(); ++d) {
        int64_t below = 1;
        for (int64_t e = d + 1; e < flat.dim(); ++e) below *= flat.size(e);
        element = element[rest / below];
        rest %= below;
      }
      const double expected = quotient(element, input), actual = flat_grad[at].item<double>();
      RC_ASSERT(std::abs(actual - expected) <= 2e-6 * (1.0 + std::abs(expected)));
    };
    const at::Tensor values = x.detach().clone();
    compare(values, x.grad(), values);
    for (const std::string& name : site->names()) compare(site->value(name), site->grad(name), values);
  });
  EXPECT_TRUE(holds);
}

TEST(TreeProperty, Permuting_the_experts_of_a_level_with_their_keys_changes_nothing) {
  const bool holds = rc::check([] {
    RandomTree tree = random_tree();
    tree.training = false;
    if (tree.recipe["experts"]["shared_pool"]) tree.recipe["experts"]["shared_pool"] = false;
    const auto site = tree.build();
    const at::Tensor x = tree.input(), before = forward(*site, x, tree.context());
    const auto level = static_cast<size_t>(tree.seed % tree.recipe["experts"]["ranks"].size());
    const std::string l = std::to_string(level);
    const at::Tensor order = at::flip(at::arange(tree.recipe["experts"]["pool"][level].get<int64_t>()), {0});
    const at::NoGradGuard guard;
    for (const std::string& name : {"moe_A." + l, "moe_A_bias." + l, "moe_B." + l, "moe_B_bias." + l,
                                    "moe_gate." + l + ".keys", "moe_gate." + l + ".weight_noise.weight"}) {
      const std::vector<std::string> names = site->names();
      if (std::find(names.begin(), names.end(), name) == names.end()) continue;
      site->value(name).copy_(site->value(name).index_select(0, order));
    }
    RC_ASSERT(near(forward(*site, x, tree.context()), before, 1e-11 * (1.0 + before.abs().max().item<double>())));
  });
  EXPECT_TRUE(holds);
}

TEST(TreeProperty, A_token_does_not_depend_on_the_batch) {
  const bool holds = rc::check([] {
    RandomTree tree = random_tree();
    tree.masked = false;
    const auto site = tree.build();
    const at::Tensor x = tree.input(), all = forward(*site, x, tree.context());
    RandomTree first = tree;
    first.tokens = 1;
    nn::BatchContext ctx = first.context();
    for (auto& [name, noise] : ctx.given_noise) noise = tree.context().given_noise.at(name).narrow(0, 0, 1);
    const at::Tensor alone = forward(*site, x.narrow(0, 0, 1), ctx);
    RC_ASSERT(near(alone, all.narrow(0, 0, 1), 1e-12 * (1.0 + all.abs().max().item<double>())));
  });
  EXPECT_TRUE(holds);
}

TEST(TreeProperty, Drawn_noise_is_the_same_again_and_differs_between_steps) {
  const bool holds = rc::check([] {
    RandomTree tree = random_tree();
    tree.recipe["router"]["gate"] = "noisy_topk";
    tree.recipe["experts"]["activation"] = "tanh";  // relu may hide every score behind a zero
    for (size_t l = 0; l < tree.recipe["experts"]["pool"].size(); ++l) tree.recipe["experts"]["active"][l] = 1;
    tree.training = true;
    const auto site = tree.build();
    nn::BatchContext ctx = tree.context();
    ctx.given_noise.clear();
    const at::Tensor x = tree.input(), y = forward(*site, x, ctx);
    RC_ASSERT(same_bits(forward(*site, x, ctx), y));
    nn::BatchContext other = ctx;
    ++other.step;
    const at::Tensor moved = forward(*site, x, other);
    ++other.micro_step;
    --other.step;
    // One expert's score is its noisy logit, so any other draw shows.
    RC_ASSERT(!at::equal(moved, y));
    RC_ASSERT(!at::equal(forward(*site, x, other), y));
  });
  EXPECT_TRUE(holds);
}

TEST(TreeProperty, Fresh_adapters_are_the_base_where_the_start_promises_it) {
  const bool holds = rc::check([] {
    RandomTree tree = random_tree();
    const auto inits = std::vector<std::string>{"b_zero", "bw_zero", "w_final_zero", "eq_1_layer", "normal"};
    const std::string init = inits[tree.seed % inits.size()];
    tree.recipe["experts"]["init"] = init;
    const auto site = tree.build();
    site->set->initialize(tree.seed);
    const at::Tensor x = tree.input(), y = forward(*site, x, tree.context());
    site->set->detach();
    const at::Tensor base = forward(*site, x, tree.context());
    RC_ASSERT(same_bits(base, [&] {
      nn::LinearGroup bare{0, site->group.members, nullptr};
      nn::RoutingReport report;
      return bare.forward(x, tree.context(), report)[0].detach();
    }()));
    if (init != "normal") {
      RC_ASSERT(at::equal(y, base));
    }
    RC_ASSERT(site->set->costs()[0].trainable == site->set->parameters().parameter_count());
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace morex::test
