// Sentence encoder folders: pooling, lengths, what makes one encoder another, and what is refused.
#include "eval/sentence_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<eval::SentenceEncoder> load(const fs::path& folder) {
  Warnings warnings(/*strict=*/true, /*print=*/false);
  return eval::SentenceEncoder::load(folder, warnings);
}

fs::path copy() {
  const fs::path folder = scratch_dir("encoder");
  fs::copy(tiny_encoder(), folder, fs::copy_options::recursive);
  return folder;
}

// A copy of the tiny encoder with one file changed.
fs::path changed(const std::string& file, const std::function<void(Json&)>& change) {
  const fs::path folder = copy();
  Json json = read_json_file(folder / file);
  change(json);
  write_text_file(folder / file, json.dump());
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

// Mean of the hidden states, given length 1: spec/trex.md T15 with the model's own states.
at::Tensor plain_vector(const models::BertEncoder& model, const std::vector<int64_t>& ids) {
  const at::Tensor mean = model.hidden(ids).to(at::kDouble).mean(0);
  return mean / mean.square().sum().sqrt();
}

TEST(SentenceEncoder, Is_the_mean_of_the_hidden_states_at_length_one) {
  const auto encoder = load(tiny_encoder());
  Warnings warnings(true, false);
  const models::BertEncoder model = models::BertEncoder::load(tiny_encoder(), warnings);
  for (const char* text : {"", "the cat", "Hello, World!", "中 é ж", "sorting 12 dates (in it)"}) {
    const at::Tensor vector = encoder->embed_text(text);
    EXPECT_EQ(vector.scalar_type(), at::kDouble);
    EXPECT_NEAR(vector.norm().item<double>(), 1.0, 1e-12);
    EXPECT_TRUE(near(vector, plain_vector(model, encoder->tokenizer().encode(text, true)), 1e-6)) << text;
  }
}

TEST(SentenceEncoder, A_long_text_counts_with_its_beginning) {
  const auto encoder = load(tiny_encoder());
  EXPECT_EQ(encoder->max_seq_length(), 24);
  std::string words;
  for (int i = 0; i < 22; ++i) words += "cat ";
  EXPECT_TRUE(same_bits(encoder->embed_text(words), encoder->embed_text(words + "the world is other")));
  EXPECT_FALSE(at::equal(encoder->embed_text(words.substr(4)), encoder->embed_text(words)));
}

TEST(SentenceEncoder, Reads_the_question_and_knows_prompts_by_it) {
  const auto encoder = load(tiny_encoder());
  SequenceFacts facts;
  facts.question = "the cat";
  const nn::Prompt prompt({9, 9, 9}, facts), other({1}, facts);
  EXPECT_TRUE(same_bits(encoder->embed(prompt), encoder->embed_text("the cat")));
  EXPECT_EQ(encoder->key(prompt), encoder->key(other));
}

TEST(SentenceEncoder, Pools_as_the_folder_says) {
  const auto first = load(changed("1_Pooling/config.json", [](Json& json) {
    json["pooling_mode_mean_tokens"] = false;
    json["pooling_mode_cls_token"] = true;
  }));
  Warnings warnings(true, false);
  const models::BertEncoder model = models::BertEncoder::load(tiny_encoder(), warnings);
  const at::Tensor state = model.hidden(first->tokenizer().encode("the cat", true)).to(at::kDouble)[0];
  EXPECT_TRUE(near(first->embed_text("the cat"), state / state.norm(), 1e-6));

  // As later versions write the same.
  const auto mean = load(changed("1_Pooling/config.json", [](Json& json) {
    json = {{"embedding_dimension", 12}, {"pooling_mode", "mean"}, {"include_prompt", true}};
  }));
  EXPECT_TRUE(same_bits(mean->embed_text("the cat"), load(tiny_encoder())->embed_text("the cat")));
}

TEST(SentenceEncoder, A_plain_model_folder_is_pooled_by_the_mean) {
  const fs::path folder = copy();
  for (const char* file : {"modules.json", "1_Pooling", "sentence_bert_config.json"}) fs::remove_all(folder / file);
  const auto encoder = load(folder);
  EXPECT_EQ(encoder->max_seq_length(), 32);
  EXPECT_TRUE(same_bits(encoder->embed_text("the cat"), load(tiny_encoder())->embed_text("the cat")));
  write_text_file(folder / "tokenizer_config.json", "{\"model_max_length\": 20}");
  EXPECT_EQ(load(folder)->max_seq_length(), 20);
  write_text_file(folder / "tokenizer_config.json", "{\"model_max_length\": 1e30}");
  EXPECT_EQ(load(folder)->max_seq_length(), 32);
}

TEST(SentenceEncoder, Its_identity_is_what_decides_its_vectors) {
  const auto encoder = load(tiny_encoder());
  EXPECT_EQ(encoder->identity().kind, "encoder");
  EXPECT_EQ(encoder->identity().width, 12);
  EXPECT_EQ(encoder->identity().path, tiny_encoder().string());
  const auto digest = [](const fs::path& folder) { return load(folder)->identity().digest; };
  EXPECT_EQ(digest(copy()), encoder->identity().digest);
  EXPECT_NE(digest(changed("sentence_bert_config.json", [](Json& json) { json["max_seq_length"] = 20; })),
            encoder->identity().digest);
  EXPECT_NE(digest(changed("tokenizer.json", [](Json& json) { json["normalizer"]["lowercase"] = false; })),
            encoder->identity().digest);
  EXPECT_NE(digest(changed("config.json", [](Json& json) { json["num_attention_heads"] = 2; })),
            encoder->identity().digest);
}

TEST(SentenceEncoder, A_damaged_folder_is_refused_with_the_file) {
  const auto says = [](const fs::path& folder, const char* what) {
    const std::string said = refusal(folder);
    EXPECT_NE(said.find(what), std::string::npos) << said;
  };
  says("/nowhere/encoder", "/nowhere/encoder");
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"}) {
    const fs::path without = copy();
    fs::remove(without / file);
    says(without, fs::path(file).filename().c_str());
    const fs::path torn = copy();
    fs::resize_file(torn / file, fs::file_size(torn / file) / 2);
    says(torn, fs::path(file).filename().c_str());
  }
  says(changed("modules.json", [](Json& json) { json.push_back({{"type", "x.Dense"}, {"path", "3"}}); }), "Dense");
  says(changed("modules.json", [](Json& json) { json.erase(1); }), "modules.json");
  says(changed("modules.json", [](Json& json) { json = Json::object(); }), "modules.json");
  says(changed("modules.json", [](Json& json) { json[0]["path"] = "0_Transformer"; }), "0_Transformer");
  says(changed("1_Pooling/config.json", [](Json& json) { json["pooling_mode_max_tokens"] = true; }), "pooling");
  says(changed("1_Pooling/config.json", [](Json& json) { json["pooling_mode_mean_tokens"] = false; }), "pooling");
  says(changed("1_Pooling/config.json", [](Json& json) { json["word_embedding_dimension"] = 8; }), "hidden_size");
  says(changed("sentence_bert_config.json", [](Json& json) { json["max_seq_length"] = 33; }), "max_seq_length");
  says(changed("sentence_bert_config.json", [](Json& json) { json["do_lower_case"] = true; }), "do_lower_case");
  says(changed("tokenizer.json", [](Json& json) { json["model"]["vocab"]["zz"] = 500; }), "tokenizer.json");
}

}  // namespace
}  // namespace morex::test
