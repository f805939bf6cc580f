// WordPiece tokenizers: BERT's normalizer, its words, its pieces.
#include "text/word_piece.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "support/paths.h"
#include "text/normalizers.h"
#include "text/tokenizer.h"
#include "unit/text/small_tokenizers.h"

namespace morex::text {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int64_t>;
using Tokens = std::vector<std::string>;

std::shared_ptr<const Tokenizer> tiny() {
  static const auto tokenizer = Tokenizer::load(morex::test::tiny_encoder());
  return tokenizer;
}

std::vector<std::string> tokens(const std::string& text) {
  std::vector<std::string> out;
  for (const int64_t id : tiny()->encode(text, false)) out.push_back(tiny()->id_to_token(id));
  return out;
}

TEST(WordPiece, Takes_the_longest_piece_from_the_left) {
  EXPECT_EQ(tokens("cats"), (Tokens{"cat", "##s"}));
  EXPECT_EQ(tokens("sorting"), (Tokens{"sort", "##ing"}));
  EXPECT_EQ(tokens("theory"), (Tokens{"the", "##o", "##r", "##y"}));
  EXPECT_EQ(tokens("Hello, World!"), (Tokens{"hello", ",", "world", "!"}));
}

TEST(WordPiece, A_word_with_an_unknown_character_is_unknown_as_a_whole) {
  EXPECT_EQ(tokens("the каt cat"), (Tokens{"the", "[UNK]", "cat"}));
  EXPECT_EQ(tokens(std::string(20, 'a')).size(), 20U);
  EXPECT_EQ(tokens(std::string(21, 'a')), Tokens{"[UNK]"}) << "longer than max_input_chars_per_word";
}

TEST(WordPiece, Special_tokens_stand_around_and_are_recognised_inside) {
  EXPECT_EQ(tiny()->encode("cat", true), (Ids{2, *tiny()->token_to_id("cat"), 3}));
  EXPECT_EQ(tiny()->encode("", true), (Ids{2, 3}));
  EXPECT_EQ(tokens("a[MASK]b"), (Tokens{"a", "[MASK]", "b"}));
}

TEST(WordPiece, A_limit_cuts_the_texts_own_ids_on_the_right) {
  EXPECT_EQ(tiny()->encode_within("the cat is in", 4),
            (Ids{2, *tiny()->token_to_id("the"), *tiny()->token_to_id("cat"), 3}));
  EXPECT_EQ(tiny()->encode_within("the cat", 99), tiny()->encode("the cat", true));
  EXPECT_EQ(tiny()->encode_within("the cat", 2), (Ids{2, 3}));
  EXPECT_THROW(tiny()->encode_within("the cat", 1), Error);
}

TEST(WordPiece, Offsets_are_those_of_the_original_text) {
  const Encoding encoding = tiny()->encode_with_offsets("É  the catS");
  EXPECT_EQ(encoding.begin, (Ids{0, 3, 7, 10}));
  EXPECT_EQ(encoding.end, (Ids{1, 6, 10, 11}));
  const Encoding unknown = tiny()->encode_with_offsets("the ж!");
  EXPECT_EQ(unknown.begin, (Ids{0, 4, 5}));
  EXPECT_EQ(unknown.end, (Ids{3, 5, 6}));
}

TEST(WordPiece, Decoding_joins_pieces_and_takes_spaces_back) {
  EXPECT_EQ(tiny()->decode(tiny()->encode("Cats, in the world!", true), true), "cats, in the world!");
  EXPECT_EQ(tiny()->decode(tiny()->encode("cat", true), false), "[CLS] cat [SEP]");
}

std::string bert_normalized(const std::string& text, const Json& options = Json::object()) {
  Json spec = {{"type", "BertNormalizer"}};
  spec.update(options);
  return normalized(make_normalizer(spec, "test").get(), text);
}

TEST(BertNormalizer, Cleans_spaces_out_strips_and_lowers) {
  EXPECT_EQ(bert_normalized("A\tB\r\nC\u00a0D\u3000E"), "a b  c d e");
  EXPECT_EQ(bert_normalized(std::string("x\0y\x01z\x7f", 6) + "\u200d\ufeff\ufffd!"), "xyz!");
  EXPECT_EQ(bert_normalized("中a文"), " 中 a 文 ");
  EXPECT_EQ(bert_normalized("ÀÉ e\u0301 Å ñ İ ß"), "ae e a n i ß");
  EXPECT_EQ(bert_normalized("한글"), "\u1112\u1161\u11ab\u1100\u1173\u11af")
      << "decomposed, as the reference leaves it";
}

TEST(BertNormalizer, Each_step_has_its_switch) {
  EXPECT_EQ(bert_normalized("ÀB", {{"lowercase", false}}), "ÀB") << "accents stay with the capitals";
  EXPECT_EQ(bert_normalized("ÀB", {{"lowercase", false}, {"strip_accents", true}}), "AB");
  EXPECT_EQ(bert_normalized("ÀB", {{"strip_accents", false}}), "àb");
  EXPECT_EQ(bert_normalized("İ", {{"strip_accents", false}}), "i\u0307");
  EXPECT_EQ(bert_normalized("中\t", {{"handle_chinese_chars", false}, {"clean_text", false}}), "中\t");
}

// The tiny tokenizer with something changed, written and loaded.
std::shared_ptr<const Tokenizer> changed(const std::function<void(Json&)>& change) {
  Json json = read_json_file(morex::test::tiny_encoder() / "tokenizer.json");
  change(json);
  const fs::path folder = morex::test::scratch_dir("word_piece");
  test::write_json(folder / "tokenizer.json", json);
  return Tokenizer::load(folder);
}

TEST(WordPiece, A_file_that_cannot_work_is_refused) {
  EXPECT_THROW(changed([](Json& json) { json["model"]["merges"] = Json::array(); }), Error);
  EXPECT_THROW(changed([](Json& json) { json["model"]["unk_token"] = "<unk>"; }), Error);
  EXPECT_THROW(changed([](Json& json) { json["model"]["max_input_chars_per_word"] = 0; }), Error);
  EXPECT_THROW(changed([](Json& json) { json["model"]["type"] = "Unigram"; }), Error);
  EXPECT_THROW(changed([](Json& json) { json["model"].erase("vocab"); }), Error);
}

TEST(WordPiece, What_decides_the_ids_decides_the_digest) {
  EXPECT_EQ(changed([](Json&) {})->digest(), tiny()->digest());
  EXPECT_NE(changed([](Json& json) { json["model"]["max_input_chars_per_word"] = 10; })->digest(), tiny()->digest());
  EXPECT_NE(changed([](Json& json) { json["normalizer"]["lowercase"] = false; })->digest(), tiny()->digest());
}

}  // namespace
}  // namespace morex::text
