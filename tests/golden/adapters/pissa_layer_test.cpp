// golden/methods/layer/pissa: the start, the weight that stands in the base's place, and the way back to plain LoRA.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include <cmath>

#include "adapters/structure/pissa.h"
#include "one_site.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

struct PissaCase {
  std::string name;
  at::ScalarType dtype;
};

void PrintTo(const PissaCase& pissa, std::ostream* out) { *out << pissa.name; }

std::vector<PissaCase> pissa_cases() {
  std::vector<PissaCase> cases;
  for (const std::string& name : golden_cases("methods/layer/pissa", ".json"))
    for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) cases.push_back({name, dtype});
  return cases;
}

class PissaLayer : public testing::TestWithParam<PissaCase> {};

TEST_P(PissaLayer, Matches_the_reference) {
  const auto folder = golden_dir() / "methods" / "layer" / "pissa";
  const Json info = read_json_file(folder / (GetParam().name + ".json"));
  const GoldenTensors golden(folder / (GetParam().name + ".safetensors"));
  const at::ScalarType dtype = GetParam().dtype;
  const Json errors = info.value("f32_max_abs_error", Json::object());
  const auto check = [&](const std::string& name, const at::Tensor& actual) {
    const at::Tensor& expected = golden.get("f64." + name);
    const double largest = expected.abs().max().item<double>();
    const double bound =
        dtype == at::kDouble ? 1e-11 * (1.0 + largest) : 10.0 * errors.value(name, 0.0) + 3e-6 * std::max(1.0, largest);
    EXPECT_TRUE(near(actual, expected, bound)) << name;
  };
  const auto of_run = [&](const std::string& name) { return golden.get(name).to(test_device(), dtype); };
  const auto recipe = [](Json config, const char* method) {
    config["method"] = method;
    return config;
  };
  const Json& config = info.at("config");
  const double rank = config.at("r"), alpha = config.at("lora_alpha");
  const double scale = alpha / (config.value("use_rslora", false) ? std::sqrt(rank) : rank);

  const at::NoGradGuard guard;
  const at::Tensor w = of_run("base.weight"), x = of_run("x");
  OneSite site(w.clone(), {}, recipe(config, "pissa"));
  site.set->initialize(1);
  const at::Tensor residual = site.group.members[0].weight.value;
  const at::Tensor a = site.value("lora_A.weight"), b = site.value("lora_B.weight");
  check("init_W_res", residual);
  check("init_scaled_BA", at::mm(b, a) * scale);
  const at::Tensor& sigma = golden.get("f64.singular_values");
  const auto r = static_cast<int64_t>(rank);
  EXPECT_NEAR(residual.to(at::kDouble).square().sum().item<double>(),
              sigma.narrow(0, r, sigma.numel() - r).square().sum().item<double>(), dtype == at::kDouble ? 1e-12 : 1e-5);

  nn::BatchContext ctx;
  ctx.batch = 1;
  ctx.length = x.size(0);
  nn::RoutingReport report;
  check("y_init", site.forward(x, ctx, report));
  a.copy_(of_run("f64.trained_A"));
  b.copy_(of_run("f64.trained_B"));
  check("y_trained", site.forward(x, ctx, report));

  const adapters::LowRankFactors exported =
      adapters::on_original_base({a, b}, {of_run("f64.init_A"), of_run("f64.init_B")});
  check("export_A", exported.a);
  check("export_B", exported.b);
  const auto plain = site.set->on_original_base(site.warnings);
  EXPECT_EQ(plain->config().at("r"), info.at("export_config").at("r"));
  EXPECT_NEAR(plain->config().at("lora_alpha").get<double>(), info.at("export_config").at("lora_alpha"), 1e-12);
  EXPECT_EQ(plain->config().at("use_rslora"), config.value("use_rslora", false));
  site.set->detach();
  plain->attach();
  check("y_trained", site.forward(x, ctx, report));

  plain->detach();
  EXPECT_TRUE(same_bits(site.group.members[0].weight.value, w));
  site.set->merge_into_base();
  check("y_trained", at::mm(x, site.group.members[0].weight.value.t()));
}

INSTANTIATE_TEST_SUITE_P(Golden, PissaLayer, testing::ValuesIn(pissa_cases()), [](const auto& info) {
  return info.param.name + (info.param.dtype == at::kDouble ? "_f64" : "_f32");
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(PissaLayer);

}  // namespace
}  // namespace morex::test
