// golden/tokenizers: ids, offsets, decoded texts and pairs of real tokenizers, all exact.
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <map>

#include "base/json.h"
#include "base/strings.h"
#include "io/jsonl.h"
#include "support/paths.h"
#include "text/tokenizer.h"

namespace morex::text {
namespace {

namespace fs = std::filesystem;

std::vector<Json> read_jsonl(const fs::path& path) {
  std::vector<Json> out;
  io::JsonlReader reader(path);
  for (Json line; reader.next(line);) out.push_back(line);
  return out;
}

// "data/A/tokenizer.json + data/B/tokenizer_config.json" or "data/A/vocab.json + merges.txt" as paths.
std::vector<fs::path> source_files(const std::string& source) {
  std::vector<fs::path> files;
  for (const std::string& word : split(source, ' ')) {
    if (word == "+" || word.empty()) continue;
    if (word.starts_with("data/")) {
      files.push_back(test::data_dir() / word.substr(5));
    } else if (!files.empty()) {
      files.push_back(files.back().parent_path() / word);
    }
  }
  return files;
}

class TokenizerGolden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    folder_ = test::golden_dir() / "tokenizers" / GetParam();
    meta_ = read_json_file(folder_ / "meta.json");
    for (const fs::path& file : source_files(meta_.at("source").get<std::string>())) {
      if (file.extension() == ".model") {
        std::cout << "SKIPPED unsupported: tokenizer.model (" << GetParam() << ")\n";
        GTEST_SKIP();
      }
      if (!fs::exists(file)) {
        std::cout << "SKIPPED: " << file << " is not there\n";
        GTEST_SKIP();
      }
      files_.push_back(file);
    }
    ASSERT_FALSE(files_.empty()) << meta_.at("source");
    for (const Json& line : read_jsonl(test::golden_dir() / "tokenizers" / "strings.jsonl")) {
      texts_[line.at("i").get<int64_t>()] = line.at("text").get<std::string>();
    }
    cases_ = read_jsonl(folder_ / "cases.jsonl");
    ASSERT_FALSE(cases_.empty());
  }

  // The named files alone, in a folder of their own.
  std::shared_ptr<const Tokenizer> load_named_files() const {
    const fs::path folder = test::scratch_dir("tokenizer_" + GetParam());
    for (const fs::path& file : files_) fs::create_symlink(file, folder / file.filename());
    auto tokenizer = Tokenizer::load(folder);
    fs::remove_all(folder);
    return tokenizer;
  }

  void check_cases(const Tokenizer& tokenizer) const {
    const auto prefix = meta_.value("special_prefix", std::vector<int64_t>());
    const auto suffix = meta_.value("special_suffix", std::vector<int64_t>());
    for (const Json& line : cases_) {
      const std::string& text = texts_.at(line.at("i").get<int64_t>());
      SCOPED_TRACE("string " + line.at("i").dump());
      const auto ids = line.at("ids").get<std::vector<int64_t>>();
      ASSERT_EQ(tokenizer.encode(text, false), ids);
      ASSERT_EQ(tokenizer.encode(text, false), ids) << "from the cache";
      std::vector<int64_t> special = prefix;
      special.insert(special.end(), ids.begin(), ids.end());
      special.insert(special.end(), suffix.begin(), suffix.end());
      ASSERT_EQ(tokenizer.encode(text, true), line.value("ids_special", special));
      const Encoding encoding = tokenizer.encode_with_offsets(text);
      ASSERT_EQ(encoding.ids, ids);
      if (line.contains("off")) {
        std::vector<int64_t> offsets;
        for (size_t i = 0; i < ids.size(); ++i) offsets.insert(offsets.end(), {encoding.begin[i], encoding.end[i]});
        ASSERT_EQ(offsets, line.at("off").get<std::vector<int64_t>>());
      }
      ASSERT_EQ(tokenizer.decode(special, false), line.value("dec", text));
      ASSERT_EQ(tokenizer.decode(special, true), line.value("dec_skip", text));
    }
  }

  fs::path folder_;
  Json meta_;
  std::vector<fs::path> files_;
  std::map<int64_t, std::string> texts_;
  std::vector<Json> cases_;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TokenizerGolden);

TEST_P(TokenizerGolden, Cases_are_exact) { check_cases(*load_named_files()); }

TEST_P(TokenizerGolden, Whole_folder_gives_the_same) {
  if (!meta_.contains("auto_tokenizer")) return;
  const auto tokenizer = Tokenizer::load(files_.front().parent_path());
  check_cases(*tokenizer);
  const Json& expected = meta_.at("auto_tokenizer").at("special_tokens");
  const SpecialTokens& special = tokenizer->special_tokens();
  EXPECT_EQ(special.bos, expected.value("bos_token", ""));
  EXPECT_EQ(special.eos, expected.value("eos_token", ""));
  EXPECT_EQ(special.pad, expected.value("pad_token", ""));
  EXPECT_EQ(special.unk, expected.value("unk_token", ""));
}

TEST_P(TokenizerGolden, Pairs_are_exact) {
  if (!fs::exists(folder_ / "pairs.jsonl")) return;
  const auto tokenizer = load_named_files();
  const std::vector<Json> pairs = read_jsonl(folder_ / "pairs.jsonl");
  ASSERT_FALSE(pairs.empty());
  for (const Json& line : pairs) {
    const PairEncoding pair =
        tokenizer->encode_pair(texts_.at(line.at("a").get<int64_t>()), texts_.at(line.at("b").get<int64_t>()));
    SCOPED_TRACE("pair " + line.at("a").dump() + ", " + line.at("b").dump());
    ASSERT_EQ(pair.ids, line.at("ids").get<std::vector<int64_t>>());
    ASSERT_EQ(pair.type_ids, line.at("type_ids").get<std::vector<int64_t>>());
    ASSERT_EQ(pair.special_mask, line.at("special_mask").get<std::vector<int64_t>>());
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerGolden, testing::ValuesIn(test::golden_cases("tokenizers", "")),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
                           return name;
                         });

TEST(Golden, Tokenizer_cases_exist_where_the_folder_does) {
  if (!fs::is_directory(test::golden_dir() / "tokenizers")) {
    std::cout << "SKIPPED: no folder tokenizers in " << test::golden_dir() << "\n";
    GTEST_SKIP();
  }
  EXPECT_FALSE(test::golden_cases("tokenizers", "").empty());
}

}  // namespace
}  // namespace morex::text
