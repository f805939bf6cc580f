// The real base: SmolLM2-135M-Instruct from its GGUF file against Hugging Face's numbers.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "base/checksum.h"
#include "base/json.h"
#include "golden/models/model_runs.h"
#include "golden/models/plain_llama.h"
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

std::vector<int64_t> ids_of(const Json& line) { return line.at("ids").get<std::vector<int64_t>>(); }

at::Tensor doubles(const Json& list) { return at::tensor(list.get<std::vector<double>>(), at::kDouble); }

// One prompt's logits [L, V] against the stored extract of its rows.
void check_float32(const Json& prompt, const at::Tensor& logits) {
  constexpr double kLogits = 1e-3, kLogSumExp = 1e-3;
  for (const Json& position : prompt.at("positions")) {
    const at::Tensor row = logits[position.at("pos").get<int64_t>()];
    const auto top = position.at("top_ids").get<std::vector<int64_t>>();
    EXPECT_TRUE(
        near(row.index_select(0, at::tensor(top, at::kLong)), doubles(position.at("top_values_fp64")), kLogits));
    EXPECT_NEAR(row.mean().item<double>(), position.at("mean").get<double>(), kLogits);
    EXPECT_NEAR(row.std().item<double>(), position.at("std").get<double>(), kLogits);
  }
  EXPECT_TRUE(near(logits.logsumexp(1), doubles(prompt.at("all_lse")), kLogSumExp));
  const auto ids = ids_of(prompt);
  const at::Tensor following = at::tensor(std::vector<int64_t>(ids.begin() + 1, ids.end()), at::kLong).unsqueeze(1);
  const at::Tensor next = logits.narrow(0, 0, following.size(0)).gather(1, following).squeeze(1);
  EXPECT_TRUE(near(next, doubles(prompt.at("all_next_logit")), kLogits));
  const at::Tensor best_two = std::get<0>(logits.topk(2, 1));
  const at::Tensor clear = best_two.select(1, 0) - best_two.select(1, 1) > 2 * kLogits;
  const at::Tensor wanted = at::tensor(prompt.at("all_argmax").get<std::vector<int64_t>>(), at::kLong);
  EXPECT_TRUE(logits.argmax(1).eq(wanted).logical_or(clear.logical_not()).all().item<bool>());
}

// How far bfloat16 logits are from the exact ones, over all stored values. Rounding in the residual stream moves whole
// rows of this model by up to 1 (Hugging Face's arithmetic as well); a common shift changes no probability, so rows are
// compared after it is taken out.
// Of logits from float64's; `level` is what all logits of a position have moved by, which no probability sees.
struct Distance {
  double largest = 0.0, sum = 0.0, sum_without_level = 0.0;
  int64_t count = 0;
  double mean() const { return sum / static_cast<double>(count); }
  double mean_without_level() const { return sum_without_level / static_cast<double>(count); }
};

void add_distance(const Json& prompt, const at::Tensor& logits, Distance& distance) {
  const at::Tensor level = logits.logsumexp(1) - doubles(prompt.at("all_lse"));
  for (const Json& position : prompt.at("positions")) {
    const int64_t at = position.at("pos").get<int64_t>();
    const at::Tensor top = at::tensor(position.at("top_ids").get<std::vector<int64_t>>(), at::kLong);
    const at::Tensor wanted = doubles(position.at("top_values_fp64"));
    const at::Tensor difference = logits[at].index_select(0, top) - wanted;
    distance.largest = std::max(distance.largest, difference.abs().max().item<double>());
    distance.sum += difference.abs().sum().item<double>();
    distance.sum_without_level += (difference - level[at]).abs().sum().item<double>();
    distance.count += difference.numel();
    if ((wanted[0] - wanted[1]).item<double>() > 0.5) {
      EXPECT_EQ(logits[at].argmax().item<int64_t>(), top[0].item<int64_t>()) << prompt.at("name");
    }
  }
}

double loss_of(const std::vector<int64_t>& ids, const at::Tensor& logits) {
  const at::Tensor following = at::tensor(std::vector<int64_t>(ids.begin() + 1, ids.end()), at::kLong);
  return at::cross_entropy_loss(logits.narrow(0, 0, following.size(0)), following).item<double>();
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
  const GoldenTensors full(golden_dir() / "smollm2" / "logits_full.safetensors");
  size_t full_rows = 0;
  for (const Json& prompt : lines("logits.jsonl")) {
    SCOPED_TRACE(prompt.at("name"));
    const at::Tensor logits = all_logits(*model, ids_of(prompt)).cpu();  // [L, V]
    check_float32(prompt, logits);
    const std::string key = prompt.at("name").get<std::string>() + ".pos" + std::to_string(prompt.at("ids").size() - 1);
    if (!full.has(key)) continue;
    EXPECT_TRUE(near(logits[-1], full.get(key), 1e-3));
    ++full_rows;
  }
  EXPECT_EQ(full_rows, full.names().size());
  const std::vector<Json> losses = lines("losses.jsonl");
  ASSERT_FALSE(losses.empty());
  for (const Json& text : losses) {
    const at::NoGradGuard no_grad;
    const at::Tensor row = at::tensor(ids_of(text), at::kLong).unsqueeze(0).to(model->device());
    const double loss = mean_loss(*model, row, row, context_for(row)).item<double>();
    EXPECT_NEAR(loss, text.at("loss_fp64").get<double>(), 5e-5) << text.at("text").get<std::string>();
  }
}

// Within the stated tolerances; the mean over raw logits, which a common level dominates, is held to what plain
// bfloat16 arithmetic reaches on this machine.
TEST(SmolLm2, bfloat16_is_nearer_than_plain_bfloat16) {
  if (const std::string reason = why_not_available(); !reason.empty()) GTEST_SKIP() << reason;
  constexpr double kLogits = 0.5, kMeanLogits = 0.06, kLoss = 2e-2;
  constexpr size_t kLongest = 100;  // long texts add time, not insight: float32 has them
  const auto model = load(at::kBFloat16);
  Distance ours, plain;
  for (const Json& prompt : lines("logits.jsonl")) {
    if (prompt.at("ids").size() > kLongest) continue;
    add_distance(prompt, all_logits(*model, ids_of(prompt)).to(at::kDouble).cpu(), ours);
    add_distance(prompt, plain_llama_logits(*model, ids_of(prompt)).to(at::kDouble).cpu(), plain);
  }
  EXPECT_LE(ours.largest, kLogits);
  EXPECT_LE(ours.mean_without_level(), kMeanLogits);
  EXPECT_LE(ours.mean(), std::max(kMeanLogits, plain.mean()));
  double worst = 0.0;
  for (const Json& text : lines("losses.jsonl")) {
    if (text.at("ids").size() > kLongest) continue;
    const auto ids = ids_of(text);
    const double loss = loss_of(ids, all_logits(*model, ids).to(at::kDouble).cpu());
    worst = std::max(worst, std::abs(loss - text.at("loss_fp64").get<double>()));
  }
  EXPECT_LE(worst, kLoss);
  std::cout << "bfloat16 against float64: logits mean " << ours.mean() << " (plain " << plain.mean()
            << "), without level " << ours.mean_without_level() << " (" << plain.mean_without_level() << "), largest "
            << ours.largest << " (" << plain.largest << "); loss of a text " << worst << "\n";
}

// The linear weights in blocks of eight bits: how far the losses of texts move from those of the stored weights in the
// same dtype.
TEST(SmolLm2, eight_bits_cost_little) {
  if (const std::string reason = why_not_available(); !reason.empty()) GTEST_SKIP() << reason;
  constexpr double kOneText = 2e-2;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    // bfloat16's own rounding moves the mean of these few texts by up to 0.006.
    const double mean_allowed = dtype == at::kFloat ? 3e-3 : 1e-2;
    Warnings warnings(true);
    const auto model = models::load_model(smollm2_gguf(), {dtype, test_device(), true}, warnings);
    const auto stored = load(dtype);
    double worst = 0.0, sum = 0.0, tokens = 0.0;
    for (const Json& text : lines("losses.jsonl")) {
      const auto ids = ids_of(text);
      const double loss = loss_of(ids, all_logits(*model, ids).to(at::kDouble).cpu());
      const double moved = loss - loss_of(ids, all_logits(*stored, ids).to(at::kDouble).cpu()),
                   count = static_cast<double>(ids.size()) - 1;
      worst = std::max(worst, std::abs(moved));
      sum += moved * count;
      tokens += count;
    }
    EXPECT_LE(worst, kOneText);
    EXPECT_LE(std::abs(sum / tokens), mean_allowed);
    std::cout << "8 bits, " << at::toString(dtype) << ": loss of a text moves by " << worst << " at most, by "
              << sum / tokens << " a token\n";
  }
}

}  // namespace
}  // namespace morex::test
