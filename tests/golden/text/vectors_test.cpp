// Tokenizers in GGUF files: SmolLM2's own, the small ones of golden/gguf, and texts with ids from llama.cpp.
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <sstream>

#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"
#include "io/gguf.h"
#include "io/jsonl.h"
#include "support/paths.h"
#include "text/tokenizer.h"

namespace morex::text {
namespace {

namespace fs = std::filesystem;

// Says so when reference data is not there.
bool missing(const fs::path& path) {
  if (fs::exists(path)) return false;
  std::cout << "SKIPPED: " << path << " is not there\n";
  return true;
}

TEST(SmolLm2Golden, Tokenizer_cases_are_exact) {
  if (missing(test::smollm2_gguf())) GTEST_SKIP();
  const fs::path file = test::golden_dir() / "smollm2" / "tokenizer_cases.jsonl";
  if (missing(file)) GTEST_SKIP();
  const auto tokenizer = Tokenizer::load(test::smollm2_gguf());
  io::JsonlReader reader(file);
  int64_t cases = 0;
  for (Json line; reader.next(line); ++cases) {
    SCOPED_TRACE(line.at("text").dump());
    const auto text = line.at("text").get<std::string>();
    const auto ids = line.at("ids").get<std::vector<int64_t>>();
    EXPECT_EQ(tokenizer->encode(text, false), ids);
    EXPECT_EQ(tokenizer->encode(text, true), ids) << "there is no BOS";
    EXPECT_EQ(tokenizer->encode_with_offsets(text).ids, ids);
    const std::string decoded = line.value("decoded", text);
    EXPECT_EQ(tokenizer->decode(ids, false), decoded);
    EXPECT_EQ(tokenizer->decode(ids, true), line.value("decoded_skip_special", decoded));
  }
  EXPECT_GT(cases, 0);
}

TEST(SmolLm2Golden, Special_tokens_are_those_of_the_manifest) {
  if (missing(test::smollm2_gguf())) GTEST_SKIP();
  if (missing(test::golden_dir() / "smollm2" / "manifest.json")) GTEST_SKIP();
  const Json manifest = read_json_file(test::golden_dir() / "smollm2" / "manifest.json");
  const auto tokenizer = Tokenizer::load(test::smollm2_gguf());
  const auto names = manifest.at("special_tokens").get<std::vector<std::string>>();
  const auto ids = manifest.at("special_ids").get<std::vector<int64_t>>();
  ASSERT_EQ(names.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_TRUE(tokenizer->is_special(ids[i]));
    EXPECT_EQ(tokenizer->id_to_token(ids[i]), names[i]);
    EXPECT_EQ(tokenizer->token_to_id(names[i]), ids[i]);
  }
  EXPECT_EQ(tokenizer->vocab_size(), manifest.at("tokens").get<int64_t>());
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->pad_id(), 2);
  EXPECT_EQ(tokenizer->unk_id(), 0);
  EXPECT_EQ(tokenizer->chat_template(), manifest.at("metadata").at("tokenizer.chat_template").get<std::string>());
}

TEST(GgufGolden, Tiny_llama_texts_are_exact) {
  const fs::path folder = test::golden_dir() / "gguf";
  if (missing(folder / "llama.json")) GTEST_SKIP();
  const Json golden = read_json_file(folder / "llama.json");
  const auto from_gguf = Tokenizer::load(folder / "llama_untied.gguf");
  const auto from_json = Tokenizer::load(folder / "llama_untied_hf");
  ASSERT_FALSE(golden.at("tokenizer_cases").empty());
  for (const Json& line : golden.at("tokenizer_cases")) {
    const auto text = line.at("text").get<std::string>();
    const auto ids = line.at("ids").get<std::vector<int64_t>>();
    EXPECT_EQ(from_gguf->encode(text, true), ids) << text;
    EXPECT_EQ(from_json->encode(text, true), ids) << text;
    EXPECT_EQ(from_gguf->decode(ids, false), text);
    EXPECT_EQ(from_json->decode(ids, false), text);
  }
}

TEST(GgufGolden, Broken_tokenizers_are_refused) {
  const fs::path folder = test::golden_dir() / "gguf";
  if (missing(folder / "bad.json")) GTEST_SKIP();
  int64_t cases = 0;
  for (const Json& entry : read_json_file(folder / "bad.json")) {
    if (entry.at("stage") != "tokenizer") continue;
    ++cases;
    const fs::path file = folder / entry.at("file").get<std::string>();
    try {
      Tokenizer::load(file);
      ADD_FAILURE() << file << " was accepted: " << entry.at("wrong");
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(error.kind(), ErrorKind::kFormat);
      EXPECT_NE(message.find(file.string()), std::string::npos) << message;
      bool mentioned = false;
      for (const Json& word : entry.at("message_should_mention_any_of")) {
        mentioned |= message.find(word.get<std::string>()) != std::string::npos;
      }
      EXPECT_TRUE(mentioned) << message;
    }
  }
  EXPECT_GT(cases, 0);
}

// Texts and ids of llama.cpp's own tests; NAME.inp and NAME.out, and which files hold that tokenizer.
struct Vectors {
  const char* name;
  const char* tokenizer;  // below data_dir()/tokenizers
};

class LlamaCppVectors : public testing::TestWithParam<Vectors> {};

TEST_P(LlamaCppVectors, Ids_are_exact) {
  const fs::path vectors = test::data_dir() / "tokenizers" / "vectors";
  const fs::path input = vectors / (std::string(GetParam().name) + ".inp");
  const fs::path path = test::data_dir() / "tokenizers" / GetParam().tokenizer;
  if (missing(input)) GTEST_SKIP();
  if (missing(path)) GTEST_SKIP();
  const auto tokenizer = Tokenizer::load(path);
  std::string texts = read_text_file(input);
  std::istringstream expected(read_text_file(vectors / (std::string(GetParam().name) + ".out")));
  const std::string separator = "\n__ggml_vocab_test__\n";
  int64_t cases = 0;
  for (size_t at = 0; at < texts.size(); ++cases) {
    const size_t end = texts.find(separator, at);
    if (end == std::string::npos) break;
    const std::string text = texts.substr(at, end - at);
    at = end + separator.size();
    std::string line;
    ASSERT_TRUE(std::getline(expected, line));
    std::vector<int64_t> ids;
    std::istringstream words(line);
    for (int64_t id = 0; words >> id;) ids.push_back(id);
    EXPECT_EQ(tokenizer->encode(text, false), ids) << text;
  }
  EXPECT_GT(cases, 10);
}

INSTANTIATE_TEST_SUITE_P(All, LlamaCppVectors,
                         testing::Values(Vectors{"gpt-2", "gpt-2"}, Vectors{"llama-bpe", "llama-3"},
                                         Vectors{"llama-spm", "llama-2"}, Vectors{"phi-3", "phi-3-mini"},
                                         Vectors{"qwen2", "qwen2.5"}),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace morex::text
