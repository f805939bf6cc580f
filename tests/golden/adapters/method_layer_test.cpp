// golden/methods/layer: one adapted projection, every output, gradient and routing number, in float64 and float32.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include "adapters/gate_losses.h"
#include "adapters/official_names.h"
#include "flat_recipes.h"
#include "one_site.h"
#include "recipe_of_case.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

struct LayerCase {
  std::string method, name;
  at::ScalarType dtype;
  bool gather = false;  // experts that can be gathered are
};

void PrintTo(const LayerCase& layer, std::ostream* out) { *out << layer.method << "/" << layer.name; }

Json case_json(const std::string& method, const std::string& name) {
  return read_json_file(golden_dir() / "methods" / "layer" / method / (name + ".json"));
}

std::vector<LayerCase> layer_cases() {
  std::vector<LayerCase> cases;
  for (const std::string& method : golden_cases("methods/layer", "")) {
    if (method == "pissa") continue;  // pissa_layer_test.cpp
    for (const std::string& name : golden_cases("methods/layer/" + method, ".json")) {
      const Json info = case_json(method, name);
      const bool gathers = can_gather(recipe_of_case(info.at("method"), info.at("config")).value_or(Json::object()));
      for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
        cases.push_back({method, name, dtype});
        if (gathers) cases.push_back({method, name, dtype, true});
      }
    }
  }
  return cases;
}

// Compares one tensor by the README's rule of the run's dtype.
class Comparison {
 public:
  Comparison(const GoldenTensors& golden, const Json& info, at::ScalarType dtype)
      : golden_(golden), errors_(info.at("f32_max_abs_error")), dtype_(dtype) {}

  void check(const std::string& name, const at::Tensor& actual) {
    const at::Tensor& expected = golden_.get("f64." + name);
    const double largest = expected.numel() == 0 ? 0.0 : expected.abs().max().item<double>();
    const double bound = dtype_ == at::kDouble ? 1e-11 * (1.0 + largest)
                                               : 10.0 * errors_.value(name, 0.0) + 3e-6 * std::max(1.0, largest);
    ASSERT_TRUE(actual.defined()) << name;
    EXPECT_TRUE(near(actual.reshape(expected.sizes()), expected, bound)) << name;
    done_.insert(name);
  }
  void check_ids(const std::string& name, const at::Tensor& actual) {
    ASSERT_TRUE(actual.defined()) << name;
    EXPECT_TRUE(at::equal(actual.cpu(), golden_.get(name))) << name;
    done_.insert(name);
  }
  // Every number of the run must have been compared.
  void expect_complete() const {
    int64_t numbers = 0;
    for (const std::string& name : golden_.names()) {
      if (name.starts_with("f64.")) {
        EXPECT_TRUE(done_.contains(name.substr(4))) << name << " was not compared";
      }
      if (name.starts_with("router.")) {
        EXPECT_TRUE(done_.contains(name)) << name << " was not compared";
      }
      numbers += name.starts_with("f64.") ? 1 : 0;
    }
    EXPECT_GT(numbers, 0) << "the case holds nothing to compare";
  }

 private:
  const GoldenTensors& golden_;
  Json errors_;
  at::ScalarType dtype_;
  std::set<std::string> done_;
};

void check_router(Comparison& comparison, const GoldenTensors& golden, const std::string& module,
                  const nn::RoutingReport& report, double coef) {
  for (const std::string& name : golden.names_with_prefix("router.")) {
    const std::string detail = name.substr(7);
    comparison.check_ids(name, report.details.at(module + "." + detail));
  }
  for (const std::string& full : golden.names_with_prefix("f64.router.")) {
    const std::string name = full.substr(4), detail = full.substr(11);
    const auto found = report.details.find(module + "." + detail);
    if (found != report.details.end()) {
      comparison.check(name, found->second);
      continue;
    }
    for (const nn::GateReport& gate : report.gates) {
      const std::string level = "level" + std::to_string(gate.level) + ".";
      if (detail == level + "loss") comparison.check(name, adapters::balance_loss(gate) * coef);
      if (detail == level + "load")
        comparison.check(name, gate.sums.contains("load") ? gate.sums.at("load") : gate.counts);
      if (detail == level + "importance") comparison.check(name, gate.sums.at("importance"));
    }
  }
}

void check_costs(const Json& params, const adapters::SiteCost& cost, bool gather) {
  EXPECT_EQ(cost.trainable, params.at("total").get<int64_t>());
  if (gather) {
    EXPECT_EQ(cost.flops_per_token, cost.sparse_flops_per_token);
  }
  if (params.contains("active") && !params["active"].is_null()) {
    EXPECT_EQ(cost.active, params["active"].get<int64_t>());
  }
  if (params.contains("flops")) {
    double flops = 0.0;
    for (const auto& [part, value] : params["flops"].items()) flops += value.get<double>();
    EXPECT_EQ(cost.flops_per_token + cost.routing_flops, flops);
  }
  for (const char* key : {"flops_dense", "flops_topk"}) {
    if (!params.contains(key) || (gather && key == std::string("flops_dense"))) continue;
    double flops = 0.0;
    for (const auto& [part, value] : params[key].items()) flops += value.get<double>();
    const double experts = key == std::string("flops_topk") ? cost.sparse_flops_per_token : cost.flops_per_token;
    EXPECT_EQ(experts + cost.routing_flops, flops) << key;
  }
  for (const char* key : {"flops_sparse", "flops_all_a"}) {
    if (!params.contains(key)) continue;
    const double experts = key == std::string("flops_sparse") ? cost.sparse_flops_per_token : cost.flops_per_token;
    EXPECT_EQ(experts, params[key].at("experts").get<double>()) << key;
    EXPECT_EQ(cost.routing_flops, params[key].at("routing").get<double>()) << key;
  }
}

nn::Activation activation_of(const std::string& name) {
  if (name == "silu") return nn::Activation::kSilu;
  if (name == "gelu") return nn::Activation::kGelu;
  if (name == "gelu_tanh" || name == "gelu_pytorch_tanh") return nn::Activation::kGeluTanh;
  MOREX_CHECK(name == "relu", ErrorKind::kConfig, "[case] act_fn {} is not known", name);
  return nn::Activation::kRelu;
}

class MethodLayer : public testing::TestWithParam<LayerCase> {};

TEST_P(MethodLayer, Matches_the_reference) {
  const LayerCase& layer = GetParam();
  const auto folder = golden_dir() / "methods" / "layer" / layer.method;
  const Json info = case_json(layer.method, layer.name);
  auto recipe = recipe_of_case(info.at("method"), info.at("config"));
  ASSERT_TRUE(recipe.has_value()) << "no recipe for method " << layer.method << ": every published method is built";
  if (layer.gather) (*recipe)["experts"]["execution"] = "gather";
  const GoldenTensors golden(folder / (layer.name + ".safetensors"));
  const auto of_run = [&](const std::string& name) {
    return golden.has(name) ? golden.get(name).to(test_device(), layer.dtype) : at::Tensor();
  };

  const bool block = golden.has("base.gate_proj");
  OneSite site = block ? OneSite(of_run("base.gate_proj"), of_run("base.up_proj"), of_run("base.down_proj"),
                                 activation_of(info["config"].value("act_fn", "silu")), *recipe)
                       : OneSite(of_run("base.weight"), of_run("base.bias"), *recipe);
  std::vector<std::string> stored;
  for (const std::string& name : golden.names_with_prefix("adapter.")) stored.push_back(name.substr(8));
  const std::string layout = official_layout(info.at("method"));
  const auto our = [&](const std::string& name) { return adapters::our_name(layout, name); };
  std::vector<std::string> ours;
  for (const std::string& name : site.names()) ours.push_back(adapters::official_name(layout, name));
  std::sort(ours.begin(), ours.end());
  ASSERT_EQ(ours, stored);
  {
    const at::NoGradGuard guard;
    for (const std::string& name : stored) site.value(our(name)).copy_(of_run("adapter." + name));
  }

  const at::Tensor given = of_run("x");
  nn::BatchContext ctx;
  ctx.length = given.size(given.dim() - 2);
  ctx.batch = given.dim() == 3 ? given.size(0) : 1;
  ctx.phase = info.value("training", false) ? nn::Phase::kTrain : nn::Phase::kPrefill;
  if (golden.has("mask"))
    ctx.token_mask = golden.get("mask").reshape({ctx.batch, ctx.length}).to(test_device(), at::kBool);
  for (const std::string& name : golden.names_with_prefix("noise."))
    ctx.given_noise[site.module + "." + name.substr(6)] = golden.get(name);
  for (const char* name : {"task_ids", "sample_types"})
    if (golden.has(name)) ctx.per_sequence[name] = golden.get(name).to(test_device());
  if (golden.has("scores")) ctx.per_sequence["cluster_scores"] = of_run("scores");
  if (golden.has("centroids"))
    ctx.per_sequence["cluster_scores"] = at::mm(of_run("embeddings"), of_run("centroids").t());
  nn::RoutingReport report;
  report.keep_details = true;

  const at::Tensor x = given.reshape({-1, given.size(-1)}).clone().requires_grad_(true);
  const at::Tensor y = site.forward(x, ctx, report);
  const at::Tensor aux = site.set->auxiliary_loss(report);
  at::Tensor loss = (y * of_run("G").reshape(y.sizes())).sum();
  if (aux.defined()) loss = loss + aux;
  loss.backward();

  Comparison comparison(golden, info, layer.dtype);
  comparison.check("y", y.detach());
  comparison.check("grad.x", x.grad());
  EXPECT_EQ(aux.defined(), golden.has("f64.aux"));
  if (golden.has("f64.aux")) comparison.check("aux", aux.detach());
  for (const std::string& name : stored) comparison.check("grad." + name, site.grad(our(name)));
  for (const Json& name : info.value("exactly_zero_gradients", Json::array())) {
    EXPECT_TRUE(site.grad(our(name)).eq(0).all().item<bool>()) << name;
  }
  const Json slices = info.value("exactly_zero_gradient_slices", Json::object());
  for (const auto& [name, expert] : slices.items()) {
    EXPECT_TRUE(site.grad(our(name))[expert.get<int64_t>()].eq(0).all().item<bool>()) << name;
  }
  check_router(comparison, golden, site.module, report, info["config"].value("balance_loss_weight", 1.0));
  ASSERT_EQ(site.set->costs().size(), 1U);
  check_costs(info.at("params"), site.set->costs().front(), layer.gather);
  if (golden.has("f64.merged_weight")) {
    site.set->merge_into_base();
    comparison.check("merged_weight", site.group.members[0].weight.value);
  }
  comparison.expect_complete();
}

INSTANTIATE_TEST_SUITE_P(Golden, MethodLayer, testing::ValuesIn(layer_cases()), [](const auto& info) {
  return info.param.method + "_" + info.param.name + (info.param.dtype == at::kDouble ? "_f64" : "_f32") +
         (info.param.gather ? "_gather" : "");
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MethodLayer);

TEST(MethodLayerCases, Exist_where_the_folder_does) {
  if (!std::filesystem::exists(golden_dir() / "methods" / "layer"))
    GTEST_SKIP() << "there is no methods/layer in " << golden_dir();
  EXPECT_FALSE(layer_cases().empty());
}

}  // namespace
}  // namespace morex::test
