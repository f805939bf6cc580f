// Whole tokenizers from small files, and what is wrong with broken ones.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <thread>

#include "base/error.h"
#include "support/paths.h"
#include "unit/text/small_tokenizers.h"

namespace morex::text {
namespace {

namespace fs = std::filesystem;
using morex::test::scratch_dir;
using Ids = std::vector<int64_t>;

const std::vector<std::string> kMerges = {"h e", "Ġ t", "Ġt he", "l l", "he ll", "hell o"};

class TokenizerFiles : public testing::Test {
 protected:
  void SetUp() override { folder_ = scratch_dir("tokenizer_files"); }
  void TearDown() override { fs::remove_all(folder_); }

  std::shared_ptr<const Tokenizer> load(const Json& json) {
    test::write_json(folder_ / "tokenizer.json", json);
    return Tokenizer::load(folder_);
  }
  // What loading says; "" when it works.
  std::string complaint(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kFormat);
      return error.what();
    }
    return "";
  }
  fs::path folder_;
};

TEST_F(TokenizerFiles, Byte_level_merges_and_decodes) {
  const auto tokenizer = load(test::byte_level_json(kMerges));
  EXPECT_EQ(tokenizer->encode("hello the", false),
            (Ids{*tokenizer->token_to_id("hello"), *tokenizer->token_to_id("Ġthe")}));
  EXPECT_EQ(tokenizer->encode("<|end|>", false), (Ids{262}));
  EXPECT_TRUE(tokenizer->is_special(262));
  EXPECT_EQ(tokenizer->vocab_size(), 263);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("hé<|end|>", false), true), "hé");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\xFF", false), false), "a\uFFFD");
  EXPECT_EQ(tokenizer->decode(Ids{-1, 9999}, false), "");
}

TEST_F(TokenizerFiles, Word_in_the_vocabulary_wins_only_with_ignore_merges) {
  Json json = test::byte_level_json({"a b"});
  json["model"]["vocab"]["xyz"] = 300;
  EXPECT_EQ(load(json)->encode("xyz", false).size(), 3u);
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(load(json)->encode("xyz", false), (Ids{300}));
}

TEST_F(TokenizerFiles, Long_and_short_words_merge_alike) {
  const auto tokenizer = load(test::byte_level_json({"a a", "aa aa", "aaaa aaaa", "a b"}));
  for (const int length : {5, 47, 48, 49, 50, 333}) {
    const std::string text(static_cast<size_t>(length), 'a');
    Ids expected(static_cast<size_t>(length / 8), *tokenizer->token_to_id("aaaaaaaa"));
    if (length & 4) expected.push_back(*tokenizer->token_to_id("aaaa"));
    if (length & 2) expected.push_back(*tokenizer->token_to_id("aa"));
    if (length & 1) expected.push_back(*tokenizer->token_to_id("a"));
    EXPECT_EQ(tokenizer->encode(text, false), expected) << length;
  }
}

TEST_F(TokenizerFiles, Byte_fallback_unknown_characters_and_bos) {
  const auto tokenizer = load(test::sentence_piece_json({"▁", "a", "▁a", "b"}, {"▁ a"}));
  EXPECT_EQ(tokenizer->encode("a b", true), (Ids{1, 261, 259, 262}));
  EXPECT_EQ(tokenizer->encode("é", false), (Ids{259, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(tokenizer->decode(Ids{1, 261, 259, 262}, true), "a b");
  const PairEncoding pair = tokenizer->encode_pair("a", "b");
  EXPECT_EQ(pair.ids, (Ids{1, 261, 259, 262}));
  EXPECT_EQ(pair.type_ids, (Ids{0, 0, 1, 1}));
  EXPECT_EQ(pair.special_mask, (Ids{1, 0, 0, 0}));
  Json json = test::sentence_piece_json({"▁", "a"}, {});
  json["model"]["byte_fallback"] = false;
  EXPECT_EQ(load(json)->encode("xyaz", false), (Ids{259, 0, 260, 0})) << "unknown characters are fused";
  json["model"]["fuse_unk"] = false;
  EXPECT_EQ(load(json)->encode("xya", false), (Ids{259, 0, 0, 260}));
}

TEST_F(TokenizerFiles, Offsets_are_code_points_of_the_original) {
  const auto tokenizer = load(test::byte_level_json(kMerges));
  const Encoding encoding = tokenizer->encode_with_offsets("é the<|end|>🙂");
  EXPECT_EQ(encoding.ids.size(), 8u);
  EXPECT_EQ(encoding.begin, (Ids{0, 0, 1, 5, 12, 12, 12, 12}));
  EXPECT_EQ(encoding.end, (Ids{1, 1, 5, 12, 13, 13, 13, 13}));
}

TEST_F(TokenizerFiles, Config_gives_special_tokens_template_and_more_added_tokens) {
  test::write_json(
      folder_ / "tokenizer_config.json",
      {{"bos_token", {{"content", "<|end|>"}}},
       {"eos_token", "<|end|>"},
       {"pad_token", nullptr},
       {"added_tokens_decoder", {{"400", {{"content", "<new>"}, {"special", true}, {"normalized", false}}}}},
       {"chat_template", {{{"name", "tool"}, {"template", "T"}}, {{"name", "default"}, {"template", "D"}}}}});
  test::write_json(folder_ / "special_tokens_map.json", {{"pad_token", "<new>"}, {"eos_token", "ignored"}});
  const auto tokenizer = load(test::byte_level_json(kMerges));
  EXPECT_EQ(tokenizer->bos_id(), 262);
  EXPECT_EQ(tokenizer->eos_id(), 262);
  EXPECT_EQ(tokenizer->pad_id(), 400);
  EXPECT_EQ(tokenizer->unk_id(), std::nullopt);
  EXPECT_EQ(tokenizer->encode("<new>", false), (Ids{400}));
  EXPECT_EQ(tokenizer->chat_template(), "D");
  std::ofstream(folder_ / "chat_template.jinja") << "file";
  EXPECT_EQ(Tokenizer::load(folder_)->chat_template(), "file");
}

TEST_F(TokenizerFiles, Vocabulary_and_merges_files_give_the_same_ids) {
  const Json json = test::byte_level_json(kMerges);
  const auto whole = load(json);
  fs::remove(folder_ / "tokenizer.json");
  test::write_json(folder_ / "vocab.json", json["model"]["vocab"]);
  std::ofstream merges(folder_ / "merges.txt");
  merges << "#version: 0.2\n";
  for (const std::string& merge : kMerges) merges << merge << "\n";
  merges.close();
  const auto pair = Tokenizer::load(folder_);
  const std::string text = "hello the  12 cases, isn't it?\n\n  é";
  EXPECT_EQ(pair->encode(text, true), whole->encode(text, true));
  EXPECT_EQ(pair->decode(pair->encode(text, false), false), text);
  test::write_json(folder_ / "tokenizer_config.json", {{"tokenizer_class", "Qwen2Tokenizer"}});
  const auto qwen = Tokenizer::load(folder_);
  EXPECT_EQ(qwen->encode("e\u0301", false), pair->encode("é", false)) << "this family normalises";
  EXPECT_NE(qwen->digest(), pair->digest());
  test::write_json(folder_ / "tokenizer_config.json", {{"tokenizer_class", "OddTokenizer"}});
  EXPECT_NE(complaint([&] { Tokenizer::load(folder_); }).find("OddTokenizer"), std::string::npos);
}

TEST_F(TokenizerFiles, Digest_depends_on_what_decides_the_ids) {
  const Json json = test::byte_level_json(kMerges);
  const std::string digest = load(json)->digest();
  EXPECT_EQ(digest.size(), 64u);
  EXPECT_EQ(load(json)->digest(), digest);
  Json reordered = json;
  reordered["model"]["merges"] = {"Ġ t", "h e", "Ġt he", "l l", "he ll", "hell o"};
  EXPECT_NE(load(reordered)->digest(), digest);
  Json decoder = json;
  decoder["decoder"] = {{"type", "Fuse"}};
  EXPECT_EQ(load(decoder)->digest(), digest);
}

TEST_F(TokenizerFiles, Broken_files_are_refused_by_name) {
  const auto says = [&](const Json& json, const std::string& part) {
    const std::string message = complaint([&] { load(json); });
    EXPECT_NE(message.find("tokenizer.json"), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  const Json good = test::byte_level_json(kMerges);
  const auto with = [&](const char* pointer, const Json& value) {
    Json json = good;
    json[Json::json_pointer(pointer)] = value;
    return json;
  };
  EXPECT_EQ(complaint([&] { load(good); }), "");
  says(with("/model/type", "Unigram"), "Unigram");
  says(with("/model/merges/0", "he"), "merge 0");
  says(with("/model/merges/1", "no such"), "merge 1");
  says(with("/model/merges", "x"), "merges");
  says(with("/model/merges/0", {1, 2}), "merges");
  says(with("/model/vocab/he", -4), "vocab");
  says(with("/model/vocab/he", 1e12), "vocab");
  says(with("/model/vocab/he", 999999999), "he");
  says(with("/model/vocab/he", 0), "twice");
  says(with("/model/dropout", 0.1), "dropout");
  says(with("/model/unk_token", "<nope>"), "<nope>");
  says(with("/model/end_of_word_suffix", "</w>"), "</w>");
  says(with("/normalizer", {{"type", "Odd"}}), "Odd");
  says(with("/pre_tokenizer/type", "Odd"), "Odd");
  says(with("/post_processor", {{"type", "Odd"}}), "Odd");
  says(with("/decoder/type", "Odd"), "Odd");
  says(with("/added_tokens/0/id", "x"), "id");
  says(with("/added_tokens/0/content", "he"), "he");
  std::ofstream(folder_ / "tokenizer.json") << "{\"model\": {";
  EXPECT_NE(complaint([&] { Tokenizer::load(folder_); }).find("tokenizer.json"), std::string::npos);
  EXPECT_NE(complaint([&] { Tokenizer::load(folder_ / "nowhere"); }).find("nowhere"), std::string::npos);
}

std::map<std::string, test::GgufEntry> sentence_piece_gguf() {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    tokens.emplace_back(name);
    types.push_back(6);
  }
  std::vector<float> scores(tokens.size(), 0.0F);
  const std::vector<std::pair<std::string, float>> pieces = {{"▁", -9},  {"a", -9},  {"b", -9},   {"c", -9},
                                                             {"ab", -2}, {"bc", -1}, {"abc", -3}, {"▁a", -4}};
  for (const auto& [piece, score] : pieces) {
    tokens.push_back(piece);
    types.push_back(1);
    scores.push_back(score);
  }
  return {{"tokenizer.ggml.model", std::string("llama")},
          {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.scores", scores},
          {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.bos_token_id", 1U},
          {"tokenizer.ggml.eos_token_id", 2U},
          {"tokenizer.ggml.unknown_token_id", 0U}};
}

TEST_F(TokenizerFiles, Gguf_sentence_piece_merges_by_score) {
  auto metadata = sentence_piece_gguf();
  test::write_gguf(folder_ / "m.gguf", metadata);
  const auto tokenizer = Tokenizer::load(folder_ / "m.gguf");
  const auto id = [&](const char* token) { return *tokenizer->token_to_id(token); };
  EXPECT_EQ(tokenizer->encode("ab", true), (Ids{1, id("▁"), id("ab")}));
  EXPECT_EQ(tokenizer->encode("abc", false), (Ids{id("▁"), id("abc")})) << "bc first, then a with it";
  EXPECT_EQ(tokenizer->encode("é", false), (Ids{id("▁"), id("<0xC3>"), id("<0xA9>")}));
  EXPECT_EQ(tokenizer->encode("a</s>a", false), (Ids{id("▁a"), 2, id("▁a")}));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a é", false), true), "a é");
  EXPECT_EQ(tokenizer->special_tokens().eos, "</s>");
  metadata["tokenizer.ggml.add_space_prefix"] = false;
  metadata["tokenizer.ggml.add_bos_token"] = false;
  metadata["tokenizer.ggml.add_eos_token"] = true;
  test::write_gguf(folder_ / "m.gguf", metadata);
  EXPECT_EQ(Tokenizer::load(folder_ / "m.gguf")->encode("ab", true), (Ids{id("ab"), 2}));
}

TEST_F(TokenizerFiles, Gguf_names_what_it_does_not_know) {
  const auto says = [&](const std::string& key, test::GgufEntry value, const std::string& part) {
    auto metadata = sentence_piece_gguf();
    metadata[key] = std::move(value);
    test::write_gguf(folder_ / "m.gguf", metadata);
    const std::string message = complaint([&] { Tokenizer::load(folder_ / "m.gguf"); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find("m.gguf"), std::string::npos) << message;
  };
  says("tokenizer.ggml.model", std::string("t5"), "t5");
  says("tokenizer.ggml.scores", std::vector<float>{1, 2}, "scores");
  says("tokenizer.ggml.token_type", std::vector<int32_t>{1}, "token_type");
  says("tokenizer.ggml.bos_token_id", 5000U, "bos_token_id");
  std::map<std::string, test::GgufEntry> metadata = {
      {"tokenizer.ggml.model", std::string("gpt2")},
      {"tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "ab"}},
      {"tokenizer.ggml.merges", std::vector<std::string>{"a b"}}};
  const auto load = [&] {
    test::write_gguf(folder_ / "m.gguf", metadata);
    return complaint([&] { Tokenizer::load(folder_ / "m.gguf"); });
  };
  EXPECT_NE(load().find("tokenizer.ggml.pre"), std::string::npos);
  metadata["tokenizer.ggml.pre"] = std::string("brand-new");
  EXPECT_NE(load().find("brand-new"), std::string::npos);
  metadata["tokenizer.ggml.pre"] = std::string("gpt-2");
  EXPECT_EQ(load(), "");
}

TEST_F(TokenizerFiles, Threads_share_a_tokenizer) {
  const auto tokenizer = load(test::byte_level_json(kMerges));
  const std::string text = "hello the other one, hello hello the 12 there";
  const Ids expected = tokenizer->encode(text, false);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) wrong[t] += tokenizer->encode(text, false) == expected ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST_F(TokenizerFiles, Stream_waits_for_the_end_of_a_run_of_bytes) {
  const auto tokenizer = load(test::sentence_piece_json({"▁", "a"}, {}));
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push(3 + 0x41), "");
  EXPECT_EQ(stream.push(2), "") << "a special token that is left out does not end the run";
  EXPECT_EQ(stream.push(3 + 0x80), "");
  EXPECT_EQ(stream.push(260), "\uFFFD\uFFFDa") << "the run as a whole is no UTF-8";
  EXPECT_EQ(stream.push(3 + 0x41), "");
  EXPECT_EQ(stream.finish(), "A");
}

TEST_F(TokenizerFiles, Stream_holds_back_half_characters) {
  const auto tokenizer = load(test::byte_level_json(kMerges));
  StreamDecoder stream(tokenizer);
  const Ids ids = tokenizer->encode("a🙂b", false);
  EXPECT_EQ(stream.push(ids[0]), "a");
  EXPECT_EQ(stream.push(ids[1]), "");
  EXPECT_EQ(stream.push(ids[2]), "");
  EXPECT_EQ(stream.push(ids[3]), "");
  EXPECT_EQ(stream.push(ids[4]), "🙂");
  EXPECT_EQ(stream.push(ids[1]), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
}

}  // namespace
}  // namespace morex::text
