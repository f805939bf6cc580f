// BERT against a plain form in float64, and folders that cannot be loaded.
#include "models/bert_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "nn/tensor_file.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::models {
namespace {

namespace fs = std::filesystem;

// The encoder as its paper writes it: a sum over heads, a loop over layers, float64 throughout.
class PlainBert {
 public:
  explicit PlainBert(const fs::path& folder) : config_(read_bert_config(folder / "config.json")) {
    const io::SafetensorsFile file = io::SafetensorsFile::open(folder / "model.safetensors");
    for (const io::StoredTensor& stored : file.tensors()) weights_[stored.name] = nn::tensor_copy(stored, at::kDouble);
  }

  at::Tensor hidden(const std::vector<int64_t>& ids) const {
    std::vector<at::Tensor> rows;
    for (size_t t = 0; t < ids.size(); ++t)
      rows.push_back(at("embeddings.word_embeddings.weight")[ids[t]] +
                     at("embeddings.position_embeddings.weight")[static_cast<int64_t>(t)] +
                     at("embeddings.token_type_embeddings.weight")[0]);
    at::Tensor x = norm("embeddings.LayerNorm", at::stack(rows, 0));
    for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
      const std::string layer = "encoder.layer." + std::to_string(i);
      x = norm(layer + ".attention.output.LayerNorm", x + attention(layer + ".attention", x));
      const at::Tensor up = linear(layer + ".intermediate.dense", x);
      const at::Tensor gelu = up * 0.5 * (at::erf(up / std::sqrt(2.0)) + 1.0);
      x = norm(layer + ".output.LayerNorm", x + linear(layer + ".output.dense", gelu));
    }
    return x;
  }

 private:
  const at::Tensor& at(const std::string& name) const { return weights_.at(name); }
  at::Tensor linear(const std::string& module, const at::Tensor& x) const {
    return at::matmul(x, at(module + ".weight").t()) + at(module + ".bias");
  }
  at::Tensor norm(const std::string& module, const at::Tensor& x) const {
    const at::Tensor centred = x - x.mean(1, true);
    return centred / (centred.square().mean(1, true) + config_.layer_norm_eps).sqrt() * at(module + ".weight") +
           at(module + ".bias");
  }
  at::Tensor attention(const std::string& module, const at::Tensor& x) const {
    const int64_t width = config_.hidden_size / config_.num_attention_heads;
    const at::Tensor q = linear(module + ".self.query", x), k = linear(module + ".self.key", x),
                     v = linear(module + ".self.value", x);
    at::Tensor out = at::zeros_like(x);
    for (int64_t head = 0; head < config_.num_attention_heads; ++head) {
      const auto part = [&](const at::Tensor& t) { return t.narrow(1, head * width, width); };
      const at::Tensor scores = at::matmul(part(q), part(k).t()) / std::sqrt(static_cast<double>(width));
      part(out).copy_(at::matmul(at::softmax(scores, 1), part(v)));
    }
    return linear(module + ".output.dense", out);
  }

  BertConfig config_;
  std::map<std::string, at::Tensor> weights_;
};

BertEncoder load(const fs::path& folder) {
  Warnings warnings(/*strict=*/true, /*print=*/false);  // no tensor may be unexpected
  return BertEncoder::load(folder, warnings);
}

TEST(BertEncoder, Agrees_with_the_plain_form) {
  const BertEncoder model = load(test::tiny_encoder());
  const PlainBert plain(test::tiny_encoder());
  for (const std::vector<int64_t>& ids :
       {std::vector<int64_t>{2, 3}, {2, 40, 17, 60, 3}, {2, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 3}, {1}}) {
    const at::Tensor hidden = model.hidden(ids);
    EXPECT_EQ(hidden.scalar_type(), at::kFloat);
    EXPECT_TRUE(test::near(hidden.to(at::kDouble), plain.hidden(ids), 2e-6)) << ids.size();
  }
}

TEST(BertEncoder, Every_token_sees_what_is_behind_it) {
  const BertEncoder model = load(test::tiny_encoder());
  const at::Tensor a = model.hidden({2, 40, 17, 3}), b = model.hidden({2, 40, 18, 3});
  EXPECT_GT((a[0] - b[0]).abs().max().item<double>(), 1e-4);
}

TEST(BertEncoder, Refuses_ids_it_has_no_row_for) {
  const BertEncoder model = load(test::tiny_encoder());
  EXPECT_THROW(model.hidden({}), Error);
  EXPECT_THROW(model.hidden(std::vector<int64_t>(33, 5)), Error);
  EXPECT_THROW(model.hidden({2, model.config().vocab_size, 3}), Error);
  EXPECT_THROW(model.hidden({-1}), Error);
}

// A copy of the tiny encoder.
fs::path copy() {
  const fs::path folder = test::scratch_dir("bert");
  fs::copy(test::tiny_encoder(), folder, fs::copy_options::recursive);
  return folder;
}

std::string refusal(const fs::path& folder) {
  try {
    load(folder);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat) << error.what();
    return error.what();
  }
  return "none";
}

std::string refusal_of_config(const std::string& key, const Json& value) {
  const fs::path folder = copy();
  Json config = read_json_file(folder / "config.json");
  config[key] = value;
  write_text_file(folder / "config.json", config.dump());
  return refusal(folder);
}

TEST(BertEncoder, A_config_that_is_not_built_is_refused_with_its_key) {
  for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{{"model_type", "roberta"},
                                                                            {"hidden_act", "relu"},
                                                                            {"position_embedding_type", "relative_key"},
                                                                            {"is_decoder", true},
                                                                            {"hidden_size", 0},
                                                                            {"num_attention_heads", 5},
                                                                            {"layer_norm_eps", -1.0},
                                                                            {"vocab_size", "many"},
                                                                            {"num_hidden_layers", nullptr}}) {
    const std::string said = refusal_of_config(key, value);
    EXPECT_NE(said.find(key), std::string::npos) << said;
    EXPECT_NE(said.find("config.json"), std::string::npos) << said;
  }
}

// The tiny encoder's tensors with something changed.
fs::path with_tensors(const std::function<void(std::map<std::string, at::Tensor>&)>& change) {
  const fs::path folder = copy();
  std::map<std::string, at::Tensor> tensors;
  {
    const io::SafetensorsFile file = io::SafetensorsFile::open(folder / "model.safetensors");
    for (const io::StoredTensor& stored : file.tensors()) tensors[stored.name] = nn::tensor_copy(stored, at::kFloat);
  }
  change(tensors);
  nn::save_tensors(folder / "model.safetensors", {tensors.begin(), tensors.end()});
  return folder;
}

TEST(BertEncoder, Damaged_weights_are_refused_with_their_name) {
  const std::string name = "encoder.layer.1.output.dense.weight";
  EXPECT_NE(refusal(with_tensors([&](auto& tensors) { tensors.erase(name); })).find(name), std::string::npos);
  EXPECT_NE(refusal(with_tensors([&](auto& tensors) {
              tensors[name] = at::zeros({3, 3});
            })).find(name),
            std::string::npos);
  EXPECT_NE(refusal(with_tensors([&](auto& tensors) { tensors[name][0][0] = std::nan(""); })).find(name),
            std::string::npos);
  const fs::path cut = copy();
  fs::resize_file(cut / "model.safetensors", 5000);
  EXPECT_NE(refusal(cut).find("model.safetensors"), std::string::npos);
  const fs::path empty = copy();
  fs::remove(empty / "model.safetensors");
  EXPECT_NE(refusal(empty).find("model.safetensors"), std::string::npos);
}

TEST(BertEncoder, The_digest_is_that_of_the_weights) {
  const std::string digest = load(test::tiny_encoder()).digest();
  EXPECT_EQ(load(copy()).digest(), digest);
  const fs::path other = with_tensors([](auto& tensors) { tensors["embeddings.LayerNorm.bias"][0] += 1e-3; });
  EXPECT_NE(load(other).digest(), digest);
}

}  // namespace
}  // namespace morex::models
