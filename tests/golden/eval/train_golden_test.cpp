// Losses (and gradients) of prepared training examples: alone, packed, and accumulated in different splits.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "eval/loss.h"
#include "golden_models.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::eval {
namespace {

constexpr const char* kPart = "eval/train";

class TrainSamplesGolden : public testing::TestWithParam<std::string> {};
class TrainFileGolden : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TrainSamplesGolden);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TrainFileGolden);

data::Example example_of(const Json& sample) {
  data::Example example;
  example.ids = sample.at("ids").get<std::vector<int64_t>>();
  if (sample.contains("labels")) {
    example.labels = sample["labels"].get<std::vector<int64_t>>();
  } else {
    example.labels = example.ids;
    const auto from = std::min(sample.at("labels_from").get<size_t>(), example.ids.size());
    std::fill_n(example.labels.begin(), from, data::kIgnoreLabel);
  }
  return example;
}

std::vector<data::Example> examples_of(const Json& samples) {
  std::vector<data::Example> examples;
  for (const Json& sample : samples) examples.push_back(example_of(sample));
  return examples;
}

// Each alone within 1e-8 in float64 (1e-5 a token in float32), and all of them in batches.
void expect_losses(const models::CausalLm& model, const Json& samples) {
  const bool precise = model.dtype() == at::kDouble;
  const auto tolerance = [&](int64_t tokens) { return precise ? 1e-8 : 1e-5 * static_cast<double>(tokens); };
  const std::vector<data::Example> examples = examples_of(samples);
  ASSERT_FALSE(examples.empty());
  double sum = 0;
  int64_t tokens = 0;
  for (size_t i = 0; i < examples.size(); ++i) {
    const LossResult got = evaluate_loss(model, {examples[i]}, 1, 0);
    EXPECT_EQ(got.tokens, samples[i].at("n_targets").get<int64_t>()) << "sample " << i;
    EXPECT_NEAR(got.nll_sum, samples[i].at("nll_sum64").get<double>(), tolerance(got.tokens)) << "sample " << i;
    sum += samples[i]["nll_sum64"].get<double>();
    tokens += got.tokens;
  }
  const LossResult all = evaluate_loss(model, examples, 8, 0);
  EXPECT_EQ(all.tokens, tokens);
  EXPECT_NEAR(all.nll_sum, sum, tolerance(tokens) * (precise ? static_cast<double>(examples.size()) : 1.0));
}

TEST_P(TrainSamplesGolden, LossesMatch) {
  if (!std::filesystem::exists(test::tinystories())) GTEST_SKIP() << "no model " << test::tinystories();
  const Json samples = test::read_lines(test::golden_dir() / kPart / (GetParam() + ".jsonl"));
  expect_losses(*test::load_for_test(test::tinystories(), at::kDouble), samples);
  expect_losses(*test::load_for_test(test::tinystories(), at::kFloat), samples);
}

// The summed loss of one sequence; its gradient reaches the weights when they ask for it.
at::Tensor nll_of(const models::CausalLm& model, const data::Example& example, nn::BatchContext ctx) {
  ctx.batch = 1;
  ctx.length = example.length();
  std::vector<int64_t> rows, targets;
  for (int64_t t = 0; t + 1 < example.length(); ++t) {
    if (example.labels[t + 1] == data::kIgnoreLabel) continue;
    rows.push_back(t);
    targets.push_back(example.labels[t + 1]);
  }
  const auto tensor = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, at::kLong).to(model.device());
  };
  nn::RoutingReport report;
  const at::Tensor h = model.hidden(tensor(example.ids).unsqueeze(0), ctx, report);  // [L, D]
  return model.loss_sum(h.index_select(0, tensor(rows)), tensor(targets), ctx, report);
}

// ---- packing: attention stays inside the segments ----

void expect_packing(const models::CausalLm& model, const Json& golden) {
  const Json& expected = golden.at("expected");
  const auto tensor = [&](const char* key) {
    return at::tensor(golden.at(key).get<std::vector<int64_t>>(), at::kLong).unsqueeze(0).to(model.device());
  };
  const at::NoGradGuard no_gradients;
  nn::BatchContext ctx;
  ctx.positions = tensor("position_ids");
  ctx.segments = tensor("segment_ids");
  const data::Example packed = example_of({{"ids", golden.at("packed_ids")}, {"labels", golden.at("labels")}});
  const auto targets = expected.at("n_targets").get<double>();
  EXPECT_EQ(packed.supervised(), expected.at("n_targets").get<int64_t>());
  const double tolerance = model.dtype() == at::kDouble ? 1e-8 : 1e-5 * targets;
  EXPECT_NEAR(nll_of(model, packed, ctx).item<double>(), expected.at("nll_sum64").get<double>(), tolerance);
  const LossResult unpacked = evaluate_loss(model, examples_of(golden.at("segments")), 4, 0);
  EXPECT_NEAR(unpacked.nll_sum, expected.at("sum_of_unpacked64").get<double>(), tolerance);
}

// ---- accumulation: the weight that each mode gives to a sample's summed loss ----

std::vector<double> weights_of(const std::string& mode, const Json& split, const Json& samples) {
  std::vector<double> targets, weights(samples.size(), 0.0);
  for (const Json& sample : samples) targets.push_back(sample.at("n_targets").get<double>());
  double all = 0;
  for (const double count : targets) all += count;
  for (const Json& micro : split) {
    double inside = 0;
    for (const Json& i : micro) inside += targets[i.get<size_t>()];
    for (const Json& entry : micro) {
      const auto i = entry.get<size_t>();
      if (mode == "token") weights[i] = 1 / all;
      if (mode == "micro-mean") weights[i] = 1 / inside / static_cast<double>(split.size());
      if (mode == "sequence-mean") weights[i] = 1 / targets[i] / static_cast<double>(samples.size());
    }
  }
  return weights;
}

struct SampleGradients {
  double loss = 0;
  std::vector<at::Tensor> gradients;  // in the order of the model's weights
};

std::vector<SampleGradients> sample_gradients(models::CausalLm& model, const Json& samples) {
  for (models::NamedWeight& weight : model.weights()) weight.slot->requires_grad_(true);
  std::vector<SampleGradients> result;
  for (const data::Example& example : examples_of(samples)) {
    nn::BatchContext ctx;
    ctx.phase = nn::Phase::kTrain;
    const at::Tensor loss = nll_of(model, example, ctx);
    loss.backward();
    SampleGradients one;
    one.loss = loss.item<double>();
    for (models::NamedWeight& weight : model.weights()) {
      at::Tensor& gradient = weight.slot->mutable_grad();
      EXPECT_TRUE(gradient.defined()) << weight.name;
      one.gradients.push_back(gradient.defined() ? gradient : at::zeros_like(*weight.slot));
      gradient = at::Tensor();
    }
    result.push_back(std::move(one));
  }
  return result;
}

void expect_combination(models::CausalLm& model, const std::vector<SampleGradients>& samples,
                        const std::vector<double>& weights, const Json& expected) {
  constexpr double kTolerance = 1e-8;
  double loss = 0, squares = 0;
  for (size_t i = 0; i < samples.size(); ++i) loss += weights[i] * samples[i].loss;
  EXPECT_NEAR(loss, expected.at("loss64").get<double>(), kTolerance);
  const Json norms = expected.value("grad_norms64", Json::object());
  const Json heads = expected.value("grad_head64", Json::object());
  size_t compared = 0;
  for (size_t w = 0; w < model.weights().size(); ++w) {
    at::Tensor gradient = at::zeros_like(samples[0].gradients[w]);
    for (size_t i = 0; i < samples.size(); ++i) gradient += weights[i] * samples[i].gradients[w];
    const double norm = gradient.norm().item<double>();
    squares += norm * norm;
    const std::string& name = model.weights()[w].name;
    if (norms.contains(name)) {
      EXPECT_NEAR(norm, norms[name].get<double>(), kTolerance) << name;
      ++compared;
    }
    for (size_t k = 0; heads.contains(name) && k < heads[name].size(); ++k) {
      EXPECT_NEAR(gradient.flatten()[static_cast<int64_t>(k)].item<double>(), heads[name][k].get<double>(), kTolerance)
          << name;
    }
  }
  EXPECT_EQ(compared, norms.size());
  EXPECT_NEAR(std::sqrt(squares), expected.at("grad_norm64").get<double>(), kTolerance);
}

void expect_accumulation(models::CausalLm& model, const Json& golden) {
  const Json& samples = golden.at("samples");
  expect_losses(model, samples);
  const std::vector<SampleGradients> parts = sample_gradients(model, samples);
  for (const auto& [mode, splits] : golden.at("results").items()) {
    for (const auto& [split, expected] : splits.items()) {
      SCOPED_TRACE(mode + " " + split);
      expect_combination(model, parts, weights_of(mode, golden.at("splits").at(split), samples), expected);
    }
  }
}

TEST_P(TrainFileGolden, Matches) {
  if (!std::filesystem::exists(test::tinystories())) GTEST_SKIP() << "no model " << test::tinystories();
  const Json golden = read_json_file(test::golden_dir() / kPart / (GetParam() + ".json"));
  const auto model = test::load_for_test(test::tinystories(), at::kDouble);
  if (golden.contains("packed_ids")) {
    expect_packing(*model, golden);
    expect_packing(*test::load_for_test(test::tinystories(), at::kFloat), golden);
  } else if (golden.contains("splits")) {
    expect_accumulation(*model, golden);
    expect_losses(*test::load_for_test(test::tinystories(), at::kFloat), golden.at("samples"));
  } else {
    std::printf("SKIPPED unsupported: %s/%s\n", kPart, GetParam().c_str());
    GTEST_SKIP();
  }
}

std::vector<std::string> files() {
  std::vector<std::string> names = test::golden_cases(kPart, ".json");
  std::erase(names, "summary");  // describes the others
  return names;
}

INSTANTIATE_TEST_SUITE_P(Cases, TrainSamplesGolden, testing::ValuesIn(test::golden_cases(kPart, ".jsonl")));
INSTANTIATE_TEST_SUITE_P(Cases, TrainFileGolden, testing::ValuesIn(files()));

TEST(TrainGoldenFolder, HoldsCases) {
  if (!std::filesystem::exists(test::golden_dir() / kPart)) GTEST_SKIP() << "no folder " << test::golden_dir() / kPart;
  EXPECT_FALSE(test::golden_cases(kPart, ".jsonl").empty() && files().empty());
}

}  // namespace
}  // namespace morex::eval
