// Reading config.json: names old and new, defaults, refusals.
#include "models/model_config.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "models/check_ids.h"
#include "support/paths.h"

namespace morex::test {
namespace {

Json sound() {
  return {{"model_type", "llama"},    {"hidden_size", 8}, {"intermediate_size", 12},      {"num_hidden_layers", 1},
          {"num_attention_heads", 2}, {"vocab_size", 16}, {"max_position_embeddings", 64}};
}

class ModelConfigTest : public testing::Test {
 protected:
  models::ModelConfig read(const Json& config) { return read_text(config.dump()); }
  models::ModelConfig read_text(const std::string& text) {
    write_text_file(folder_ / "config.json", text);
    return models::read_model_config(folder_ / "config.json", warnings_);
  }
  std::string error(const Json& config) {
    try {
      (void)read(config);
    } catch (const Error& caught) {
      EXPECT_EQ(caught.kind(), ErrorKind::kFormat);
      return caught.what();
    }
    return "";
  }
  Json with(const char* key, const Json& value) {
    Json config = sound();
    config[key] = value;
    return config;
  }

  std::filesystem::path folder_ = scratch_dir("model_config");
  Warnings warnings_{false, false};
};

TEST_F(ModelConfigTest, missing_optional_keys_take_hugging_face_defaults) {
  const models::ModelConfig config = read(sound());
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.head_dim, 4);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_EQ(config.rope_scaling.type, "default");
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.pad_token_id, -1);
  EXPECT_TRUE(config.eos_token_ids.empty());
  EXPECT_TRUE(warnings_.counts().empty());
}

TEST_F(ModelConfigTest, every_required_key_is_asked_for_by_name) {
  const Json complete = sound();
  for (const auto& [key, value] : complete.items()) {
    if (key == "max_position_embeddings") continue;
    Json config = sound();
    config.erase(key);
    EXPECT_NE(error(config).find(key), std::string::npos) << key;
  }
}

TEST_F(ModelConfigTest, dtype_has_two_names_that_must_agree) {
  EXPECT_EQ(read(with("torch_dtype", "bfloat16")).stored_dtype, "bfloat16");
  EXPECT_EQ(read(with("dtype", "float16")).stored_dtype, "float16");
  Json both = with("dtype", "float16");
  both["torch_dtype"] = "float32";
  EXPECT_NE(error(both).find("torch_dtype"), std::string::npos);
}

TEST_F(ModelConfigTest, rope_scaling_by_any_of_its_names) {
  EXPECT_EQ(read(with("rope_scaling", {{"type", "linear"}, {"factor", 2}})).rope_scaling.factor, 2.0);
  const auto v5 = read(with("rope_parameters", {{"rope_type", "linear"}, {"factor", 3.0}, {"rope_theta", 500.0}}));
  EXPECT_EQ(v5.rope_scaling.type, "linear");
  EXPECT_EQ(v5.rope_theta, 500.0);
  EXPECT_NE(error(with("rope_scaling", {{"type", "linear"}, {"rope_type", "yarn"}, {"factor", 2}})), "");
  EXPECT_NE(error(with("rope_scaling", {{"rope_type", "linear"}, {"factor", 0}})).find("factor"), std::string::npos);
  for (const char* key : {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
    Json llama3 = {{"rope_type", "llama3"},
                   {"factor", 8.0},
                   {"low_freq_factor", 1.0},
                   {"high_freq_factor", 4.0},
                   {"original_max_position_embeddings", 16}};
    llama3.erase(key);
    EXPECT_NE(error(with("rope_scaling", llama3)).find(key), std::string::npos) << key;
  }
}

TEST_F(ModelConfigTest, arithmetic_of_other_architectures_is_refused_unless_neutral) {
  EXPECT_NE(error(with("partial_rotary_factor", 0.5)).find("partial_rotary_factor"), std::string::npos);
  EXPECT_NE(error(with("final_logit_softcapping", 30.0)), "");
  EXPECT_EQ(error(with("partial_rotary_factor", 1.0)), "");
  EXPECT_EQ(error(with("final_logit_softcapping", nullptr)), "");
  EXPECT_EQ(error(with("rope_interleaved", false)), "");
  EXPECT_TRUE(warnings_.counts().empty());
  (void)read(with("some_new_key", 3));
  EXPECT_EQ(warnings_.counts().size(), 1u);
}

TEST_F(ModelConfigTest, end_ids_come_from_the_generation_config_when_there_is_one) {
  EXPECT_EQ(read(with("eos_token_id", 2)).eos_token_ids, std::vector<int64_t>{2});
  write_text_file(folder_ / "generation_config.json", R"({"eos_token_id": [3, 5]})");
  EXPECT_EQ(read(with("eos_token_id", 2)).eos_token_ids, (std::vector<int64_t>{3, 5}));
}

TEST_F(ModelConfigTest, sizes_that_cannot_be_are_refused) {
  EXPECT_NE(error(with("hidden_size", 0)), "");
  EXPECT_NE(error(with("vocab_size", 1e18)), "");
  EXPECT_NE(error(with("num_hidden_layers", 2000000000)), "");
  EXPECT_NE(error(with("head_dim", 3)).find("head_dim"), std::string::npos);
  EXPECT_NE(error(with("pad_token_id", 16)).find("pad_token_id"), std::string::npos);
  EXPECT_NE(error(with("rope_theta", -1.0)), "");
}

TEST_F(ModelConfigTest, a_key_given_twice_is_refused) {
  std::string text = sound().dump();
  text.insert(1, R"("vocab_size": 17, )");
  EXPECT_THROW((void)read_text(text), Error);
}

TEST_F(ModelConfigTest, ids_without_a_row_in_the_embedding_are_refused) {
  const models::ModelConfig config = read(sound());
  models::check_ids(std::vector<int64_t>{0, 15}, config, "line 1");
  models::check_ids(std::vector<int64_t>{}, config, "line 1");
  try {
    models::check_ids(std::vector<int64_t>{3, 16, 2}, config, "line 7");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_NE(std::string(error.what()).find("got 16 in line 7"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace morex::test
