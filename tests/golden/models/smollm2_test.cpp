// The real base: SmolLM2-135M-Instruct from its GGUF file against Hugging Face's numbers.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "base/checksum.h"
#include "base/json.h"
#include "golden/models/model_runs.h"
#include "io/jsonl.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

std::vector<Json> lines(const char* file) {
  io::JsonlReader reader(golden_dir() / "smollm2" / file);
  std::vector<Json> all;
  for (Json line; reader.next(line);) all.push_back(line);
  return all;
}

// "" when the file is there and is the one the reference values were made from.
std::string why_not_available() {
  const auto manifest = golden_dir() / "smollm2" / "manifest.json";
  if (!std::filesystem::exists(manifest)) return manifest.string() + " is not there";
  if (!std::filesystem::exists(smollm2_gguf())) return smollm2_gguf().string() + " is not there";
  const std::string wanted = read_json_file(manifest).at("gguf_sha256").get<std::string>();
  if (sha256_hex_of_file(smollm2_gguf()) != wanted) return smollm2_gguf().string() + " is another file";
  return "";
}

std::unique_ptr<models::CausalLm> load(at::ScalarType dtype) {
  Warnings warnings(true);
  return models::load_model(smollm2_gguf(), {dtype, test_device()}, warnings);
}

struct Tolerance {
  double logits, mean_logits, lse, loss;
};

// Compares one prompt's logits [L, V] with the stored extract of its rows.
void check_logits(const Json& prompt, const at::Tensor& logits, const Tolerance& tolerance) {
  const std::string name = prompt.at("name").get<std::string>();
  const at::Tensor wide = logits.to(at::kDouble).cpu();
  double sum = 0.0;
  int64_t count = 0;
  for (const Json& position : prompt.at("positions")) {
    const at::Tensor row = wide[position.at("pos").get<int64_t>()];
    const auto ids = position.at("top_ids").get<std::vector<int64_t>>();
    const auto values = position.at("top_values_fp64").get<std::vector<double>>();
    const at::Tensor ours = row.index_select(0, at::tensor(ids, at::kLong));
    const at::Tensor theirs = at::tensor(values, at::kDouble);
    EXPECT_TRUE(near(ours, theirs, tolerance.logits)) << name;
    sum += (ours - theirs).abs().sum().item<double>();
    count += ours.numel();
    EXPECT_NEAR(row.mean().item<double>(), position.at("mean").get<double>(), tolerance.logits) << name;
    EXPECT_NEAR(row.std().item<double>(), position.at("std").get<double>(), tolerance.logits) << name;
    if (values[0] - values[1] > tolerance.logits) {
      EXPECT_EQ(row.argmax().item<int64_t>(), ids[0]) << name;
    }
  }
  EXPECT_LE(sum / static_cast<double>(count), tolerance.mean_logits) << name;
  const at::Tensor lse = wide.logsumexp(1);
  EXPECT_TRUE(near(lse, at::tensor(prompt.at("all_lse").get<std::vector<double>>(), at::kDouble), tolerance.lse))
      << name;
  const auto next = prompt.at("all_next_logit").get<std::vector<double>>();
  const auto ids = prompt.at("ids").get<std::vector<int64_t>>();
  ASSERT_EQ(next.size() + 1, ids.size()) << name;
  for (size_t i = 0; i < next.size(); ++i) {
    EXPECT_NEAR(wide[static_cast<int64_t>(i)][ids[i + 1]].item<double>(), next[i], tolerance.logits) << name;
  }
  const auto best = prompt.at("all_argmax").get<std::vector<int64_t>>();
  const auto top2 = std::get<0>(wide.topk(2, 1));
  for (size_t i = 0; i < best.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    if ((top2[at][0] - top2[at][1]).item<double>() <= 2 * tolerance.logits) continue;
    EXPECT_EQ(wide[at].argmax().item<int64_t>(), best[i]) << name << " position " << i;
  }
}

void check_model(const models::CausalLm& model, const Tolerance& tolerance) {
  const GoldenTensors full(golden_dir() / "smollm2" / "logits_full.safetensors");
  const std::vector<Json> prompts = lines("logits.jsonl");
  ASSERT_FALSE(prompts.empty());
  for (const Json& prompt : prompts) {
    const auto ids = prompt.at("ids").get<std::vector<int64_t>>();
    const at::Tensor logits = all_logits(model, ids);  // [L, V]
    check_logits(prompt, logits, tolerance);
    const std::string key = prompt.at("name").get<std::string>() + ".pos" + std::to_string(ids.size() - 1);
    if (full.has(key)) {
      EXPECT_TRUE(near(logits[-1], full.get(key), tolerance.logits)) << key;
    }
  }
  const std::vector<Json> losses = lines("losses.jsonl");
  ASSERT_FALSE(losses.empty());
  for (const Json& text : losses) {
    const at::NoGradGuard no_grad;
    const auto ids = text.at("ids").get<std::vector<int64_t>>();
    const at::Tensor row = at::tensor(ids, at::kLong).unsqueeze(0).to(model.device());
    const double loss = mean_loss(model, row, row, context_for(row)).item<double>();
    EXPECT_NEAR(loss, text.at("loss_fp64").get<double>(), tolerance.loss) << text.at("text").get<std::string>();
  }
}

// One test, so that the model is loaded once: tensor hashes, logits, losses.
TEST(SmolLm2, float32_matches_reference) {
  if (const std::string reason = why_not_available(); !reason.empty()) GTEST_SKIP() << reason;
  const auto model = load(at::kFloat);
  std::map<std::string, at::Tensor> weights;
  for (const models::NamedWeight& weight : model->weights()) weights[weight.name] = *weight.slot;
  const std::vector<Json> tensors = lines("tensors.jsonl");
  ASSERT_FALSE(tensors.empty());
  EXPECT_EQ(weights.size(), tensors.size());
  for (const Json& tensor : tensors) {
    const std::string name = tensor.at("name").get<std::string>();
    ASSERT_TRUE(weights.count(name)) << name;
    const at::Tensor values = weights[name].cpu().contiguous();
    EXPECT_EQ(values.sizes(), at::IntArrayRef(tensor.at("shape").get<std::vector<int64_t>>())) << name;
    EXPECT_EQ(sha256_hex({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()}),
              tensor.at("sha256").get<std::string>())
        << name;
  }
  check_model(*model, {1e-3, 1e-3, 1e-3, 5e-5});
}

TEST(SmolLm2, bfloat16_is_near_reference) {
  if (const std::string reason = why_not_available(); !reason.empty()) GTEST_SKIP() << reason;
  check_model(*load(at::kBFloat16), {0.5, 0.06, 2e-2, 2e-2});
}

}  // namespace
}  // namespace morex::test
