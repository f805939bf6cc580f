// The prior `clusters` with routers that are not T-REX's: flat pools, sparse choices, the top of a tree.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/sin.h>
#include <gtest/gtest.h>

#include "../../golden/adapters/one_site.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

at::Tensor filler(double t, at::IntArrayRef shape) {
  return at::sin(at::arange(c10::multiply_integers(shape), at::kDouble) * 0.731 + t).view(shape);
}

struct Case {
  explicit Case(const Json& recipe) : site(filler(0.1, {5, 7}), {}, recipe) {
    const at::NoGradGuard guard;
    double t = 1.0;
    for (const std::string& name : site.names()) {
      const at::Tensor value = site.value(name);
      value.copy_(filler(t += 0.1, value.sizes()));
    }
    site.value("omg.weight").fill_(0.002);
  }
  at::Tensor forward(const at::Tensor& scores, int64_t batch = 1) {
    nn::BatchContext ctx;
    ctx.batch = batch;
    ctx.length = 6 / batch;
    ctx.per_sequence["cluster_scores"] = scores;
    report = {};
    report.keep_details = true;
    return site.forward(filler(0.5, {6, 7}), ctx, report);
  }
  at::Tensor detail(const std::string& name) const { return report.details.at(kSiteModule + "." + name).detach(); }

  OneSite site;
  nn::RoutingReport report;
};

Json flat(const Json& router) {
  return {{"experts", {{"kind", "low_rank_experts"}, {"r", 2}, {"num_experts", 4}}},
          {"router", router},
          {"prior", {{"kind", "clusters"}}}};
}

TEST(ClustersPrior, Weighs_a_flat_router_with_coefficients_of_one) {
  Case c(flat({{"kind", "softmax"}}));
  const at::Tensor scores = filler(0.3, {2, 4});
  c.forward(scores, 2);
  const double omega = c.detail("omega").item<double>();
  EXPECT_NEAR(omega, 1.0 / (1.0 + std::exp(-0.2)), 1e-12);
  const at::Tensor s = scores.repeat_interleave(3, 0);  // [6, 4]
  EXPECT_TRUE(near(c.detail("m"), omega * c.detail("pi") + (1 - omega) * s, 1e-14));
  EXPECT_EQ(c.site.set->sequence_needs().clusters, std::vector<int64_t>{4});
}

TEST(ClustersPrior, Leaves_a_sparse_choice_sparse) {
  Case c(flat({{"kind", "top_k"}, {"top_k", 2}}));
  const at::Tensor scores = filler(0.3, {1, 4});
  c.forward(scores);
  const double omega = c.detail("omega").item<double>();
  const at::Tensor ids = c.detail("ids");
  const at::Tensor chosen = c.detail("g").gather(1, ids);
  const at::Tensor s = scores.expand({6, 4}).gather(1, ids);
  EXPECT_TRUE(near(c.detail("m"), omega * chosen + (1 - omega) * s, 1e-14));
}

TEST(ClustersPrior, Weighs_the_top_of_a_tree) {
  Case c({{"experts", {{"kind", "tree"}, {"ranks", {2, 2}}, {"pool", {3, 4}}, {"active", {2, 2}}}},
          {"router", {{"kind", "tree_keys"}}},
          {"prior", {{"kind", "clusters"}}}});
  EXPECT_EQ(c.site.set->sequence_needs().clusters, std::vector<int64_t>{4});
  const at::Tensor scores = filler(0.3, {1, 4});
  const at::Tensor y = c.forward(scores);
  const double omega = c.detail("omega").item<double>();
  const at::Tensor s = scores.expand({6, 4}).gather(1, c.detail("level1.ids"));
  EXPECT_TRUE(near(c.detail("m"), omega * c.detail("level1.scores") + (1 - omega) * s, 1e-14));
  y.sum().backward();
  EXPECT_NE(c.site.grad("omg.weight").item<double>(), 0.0);
}

TEST(ClustersPrior, Needs_gates) {
  EXPECT_THROW(Case({{"experts", {{"kind", "low_rank"}}}, {"prior", {{"kind", "clusters"}}}}), Error);
}

}  // namespace
}  // namespace morex::test
