// The parts a tokenizer is made of, one by one.
#include <gtest/gtest.h>

#include "base/error.h"
#include "text/added_tokens.h"
#include "text/aligned_text.h"
#include "text/byte_alphabet.h"
#include "text/decoders.h"
#include "text/merge_table.h"
#include "text/normalizers.h"
#include "text/post_processor.h"
#include "text/pre_tokenizers.h"
#include "text/regex.h"
#include "text/split.h"
#include "text/tokenizer_spec.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace morex::text {
namespace {

using Texts = std::vector<std::string>;

TEST(Utf8, Invalid_bytes_become_one_replacement_per_maximal_part) {
  EXPECT_FALSE(replace_invalid_utf8("plain, ümläut, 🙂, \xF4\x8F\xBF\xBF").has_value());
  EXPECT_EQ(replace_invalid_utf8("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\x98"), "\uFFFD");              // cut short
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF"), "\uFFFD\uFFFD");            // overlong
  EXPECT_EQ(replace_invalid_utf8("\xE2\x82x"), "\uFFFDx");
  EXPECT_EQ(replace_invalid_utf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // beyond U+10FFFF
}

TEST(Unicode, Normal_forms_say_where_characters_came_from) {
  const auto composed = normalize(U"e\u0301x", NormalForm::kNfc);
  ASSERT_EQ(composed.size(), 2u);
  EXPECT_EQ(composed[0].code, U'é');
  EXPECT_EQ(composed[0].change, -1);
  const auto kept = normalize(U"é", NormalForm::kNfc);
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].change, 0);
  const auto apart = normalize(U"é", NormalForm::kNfd);
  ASSERT_EQ(apart.size(), 2u);
  EXPECT_EQ(apart[1].change, 1);
  EXPECT_EQ(normalize(U"\u1100\u1161\u11A8", NormalForm::kNfc)[0].code, U'각');
  EXPECT_EQ(normalize(U"ﬁ", NormalForm::kNfkc).size(), 2u);
  // Marks are put in order of their classes before they compose.
  EXPECT_EQ(normalize(U"a\u0301\u0323", NormalForm::kNfc)[0].code, U'ạ');
}

TEST(Unicode, Only_texts_that_stay_the_same_are_surely_normal) {
  EXPECT_TRUE(is_surely_normal("plain äöü 漢字 한국 ж", NormalForm::kNfc));
  EXPECT_FALSE(is_surely_normal("e\u0301", NormalForm::kNfc));
  EXPECT_FALSE(is_surely_normal("\u212B", NormalForm::kNfc));  // Ångström sign
  EXPECT_FALSE(is_surely_normal("\u1100\u1161", NormalForm::kNfc));
  EXPECT_FALSE(is_surely_normal("é", NormalForm::kNfd));
}

TEST(Unicode, White_space_is_the_property) {
  for (const char32_t code : {U'\t', U' ', U'\u0085', U'\u00A0', U'\u2003', U'\u3000'})
    EXPECT_TRUE(is_white_space(code));
  for (const char32_t code : {U'a', U'\u200B', U'\u180E', U'\uFEFF'}) EXPECT_FALSE(is_white_space(code));
}

TEST(Regex, White_space_excludes_the_mongolian_separator) {
  std::vector<ByteRange> matches;
  Regex(R"(\s+)", "test").find_all("a \u180E\u2003b", matches);
  ASSERT_EQ(matches.size(), 2u);
  EXPECT_EQ(matches[0], (ByteRange{1, 2}));
  EXPECT_EQ(matches[1], (ByteRange{5, 8}));
  matches.clear();
  Regex(R"([^\s\p{L}]+)", "test").find_all("ab\u180E c", matches);
  ASSERT_EQ(matches.size(), 1u);
  matches.clear();
  Regex(R"([\S]+)", "test").find_all("a\u180Eb c", matches);
  EXPECT_EQ(matches.size(), 2u);
}

TEST(Regex, Broken_pattern_is_named) {
  try {
    Regex("(unclosed", "file.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_NE(std::string(error.what()).find("file.json"), std::string::npos);
  }
}

TEST(Regex, Long_runs_do_not_overflow_the_stack) {
  std::vector<ByteRange> matches;
  Regex(R"((a|b)+(?!\S)|\s+(?!\S)|.)", "test")
      .find_all(std::string(300'000, 'a') + std::string(100'000, ' ') + "x", matches);
  EXPECT_GT(matches.size(), 2u);
}

Texts split_texts(const std::string& text, const std::string& delimiter, const std::string& behavior, bool invert) {
  std::vector<ByteRange> matches, pieces;
  Regex(delimiter, "test").find_all(text, matches);
  split(static_cast<uint32_t>(text.size()), matches, split_behavior_from_name(behavior, "test"), invert, 0, pieces);
  Texts out;
  for (const ByteRange& piece : pieces) out.push_back(text.substr(piece.begin, piece.end - piece.begin));
  return out;
}

TEST(Split, All_behaviours) {
  const std::string text = "the-final--countdown";
  EXPECT_EQ(split_texts(text, "-", "Isolated", false), (Texts{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(split_texts(text, "-", "Removed", false), (Texts{"the", "final", "countdown"}));
  EXPECT_EQ(split_texts(text, "-", "MergedWithPrevious", false), (Texts{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(split_texts(text, "-", "MergedWithNext", false), (Texts{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(split_texts(text, "-", "Contiguous", false), (Texts{"the", "-", "final", "--", "countdown"}));
  EXPECT_EQ(split_texts(text, "[a-z]+", "Removed", true), (Texts{"the", "final", "countdown"}));
  EXPECT_THROW(split_behavior_from_name("Sideways", "test"), Error);
}

TEST(Vocabulary, Finds_what_was_added) {
  Vocabulary vocabulary;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(vocabulary.add("token" + std::to_string(i), 2 * i));
  EXPECT_EQ(vocabulary.size(), 1999);
  EXPECT_EQ(vocabulary.count(), 1000u);
  EXPECT_EQ(vocabulary.find("token77"), 154);
  EXPECT_EQ(vocabulary.token(154), "token77");
  EXPECT_EQ(vocabulary.find("other"), Vocabulary::kAbsent);
  EXPECT_FALSE(vocabulary.has(3));
  EXPECT_FALSE(vocabulary.add("fresh", 154)) << "the id is taken";
  EXPECT_FALSE(vocabulary.add("token77", 5000)) << "the token is there";
  EXPECT_EQ(vocabulary.find("token77"), 154);
  EXPECT_EQ(vocabulary.token(5000), "token77");
}

TEST(MergeTable, First_or_last_entry_of_a_pair_counts) {
  MergeTable table;
  for (int32_t i = 0; i < 500; ++i) table.add(i, i + 1, {i, 1000 + i}, false);
  EXPECT_EQ(table.find(7, 8).id, 1007);
  EXPECT_EQ(table.find(8, 7).rank, INT32_MAX);
  table.add(7, 8, {900, 2}, true);
  EXPECT_EQ(table.find(7, 8).id, 1007);
  table.add(7, 8, {900, 2}, false);
  EXPECT_EQ(table.find(7, 8).id, 2);
  EXPECT_EQ(table.entries().size(), 500u);
}

// Whatever order the tokens lie in, and where a token has two ids: the first one counts.
TEST(MergeReader, Names_the_tokens_by_their_text) {
  for (const bool twice : {false, true}) {
    for (const std::vector<std::string>& order :
         {std::vector<std::string>{"a", "b", "ab", "abb", "ba"}, {"abb", "ba", "b", "ab", "a"}}) {
      SCOPED_TRACE(order.front() + (twice ? " twice" : ""));
      TokenizerSpec spec;
      int32_t id = 0;
      if (twice) spec.vocabulary.add("abb", id++);
      for (const std::string& token : order) spec.vocabulary.add(token, id++);
      MergeReader reader(spec, 3, false);
      reader.add("a", "b");
      reader.add_line("ab b");
      reader.add("b", "a");
      reader.finish();
      const auto merge = [&](const char* left, const char* right) {
        return spec.merges.find(spec.vocabulary.find(left), spec.vocabulary.find(right));
      };
      EXPECT_EQ(merge("a", "b").id, spec.vocabulary.find("ab"));
      EXPECT_EQ(merge("ab", "b").id, spec.vocabulary.find("abb"));
      EXPECT_EQ(merge("b", "a").id, spec.vocabulary.find("ba"));
      EXPECT_EQ(merge("b", "a").rank, 2);
      EXPECT_EQ(merge("b", "b").rank, INT32_MAX);
      EXPECT_THROW(reader.add("b", "b"), Error);
      EXPECT_THROW(reader.add_line("a b a"), Error);
    }
  }
}

TEST(ByteAlphabet, Is_gpt2s) {
  EXPECT_EQ(bytes_to_letters(" a\n"), "ĠaĊ");
  for (int byte = 0; byte < 256; ++byte) EXPECT_EQ(letter_to_byte(byte_to_letter(static_cast<uint8_t>(byte))), byte);
  EXPECT_EQ(letters_to_bytes("Ġthe"), " the");
  EXPECT_FALSE(letters_to_bytes("▁the").has_value());
}

Texts parts_of(const AddedTokens& tokens, const std::string& text) {
  std::vector<TextPart> parts;
  tokens.split_raw(text, parts);
  Texts out;
  for (const TextPart& part : parts) {
    out.push_back((part.id >= 0 ? "#" : "") + text.substr(part.begin, part.end - part.begin));
  }
  return out;
}

AddedToken token(const std::string& content, int32_t id) {
  AddedToken out;
  out.content = content;
  out.id = id;
  out.normalized = false;
  return out;
}

TEST(AddedTokens, Longest_match_from_the_left) {
  AddedTokens tokens;
  tokens.set({token("<a>", 1), token("<a>b", 2), token("b<", 3)}, nullptr);
  EXPECT_EQ(parts_of(tokens, "x<a>b<a>c"), (Texts{"x", "#<a>b", "#<a>", "c"}));
  EXPECT_EQ(parts_of(tokens, "<a"), (Texts{"<a"}));
  EXPECT_EQ(parts_of(tokens, ""), Texts{});
}

TEST(AddedTokens, Strip_and_single_word) {
  AddedTokens tokens;
  AddedToken left = token("<l>", 1), right = token("<r>", 2), word = token("cat", 3);
  left.lstrip = true;
  right.rstrip = true;
  word.single_word = true;
  tokens.set({left, right, word}, nullptr);
  EXPECT_EQ(parts_of(tokens, "a \u2003<l> b"), (Texts{"a", "# \u2003<l>", " b"}));
  EXPECT_EQ(parts_of(tokens, "a <r>\n b"), (Texts{"a ", "#<r>\n ", "b"}));
  EXPECT_EQ(parts_of(tokens, "<r> <l>"), (Texts{"#<r> ", "#<l>"}));
  EXPECT_EQ(parts_of(tokens, "cat cats écat cat!"), (Texts{"#cat", " cats écat ", "#cat", "!"}));
}

Texts words(const char* spec, const std::string& text, bool* byte_level = nullptr) {
  const PreTokenizers made = make_pre_tokenizers(Json::parse(spec), "test");
  if (byte_level != nullptr) *byte_level = made.byte_level;
  Pieces pieces;
  pieces.text = text;
  pieces.pieces = {{0, static_cast<uint32_t>(text.size())}};
  pieces.at_start = true;
  for (const auto& stage : made.stages) stage->apply(pieces);
  Texts out;
  for (const ByteRange& piece : pieces.pieces) out.emplace_back(pieces.piece(piece));
  return out;
}

TEST(PreTokenizers, Each_kind) {
  bool bytes = false;
  EXPECT_EQ(words(R"({"type": "ByteLevel", "add_prefix_space": true})", "it's 42\n\n x", &bytes),
            (Texts{" it", "'s", " 42", "\n\n", " x"}));
  EXPECT_TRUE(bytes);
  EXPECT_EQ(words(R"({"type": "Digits", "individual_digits": true})", "a12½"), (Texts{"a", "1", "2", "½"}));
  EXPECT_EQ(words(R"({"type": "Digits"})", "a12½b"), (Texts{"a", "12½", "b"}));
  EXPECT_EQ(words(R"({"type": "Punctuation"})", "a,b!?c。"), (Texts{"a", ",", "b", "!", "?", "c", "。"}));
  EXPECT_EQ(words(R"({"type": "Whitespace"})", "hi there!!"), (Texts{"hi", "there", "!!"}));
  EXPECT_EQ(words(R"({"type": "WhitespaceSplit"})", " a  b!"), (Texts{"a", "b!"}));
  EXPECT_EQ(words(R"({"type": "CharDelimiterSplit", "delimiter": "-"})", "a-b"), (Texts{"a", "b"}));
  EXPECT_EQ(words(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"})", "a b"),
            (Texts{"▁a", "▁b"}));
  EXPECT_EQ(words(R"({"type": "Metaspace", "prepend_scheme": "never", "split": false})", "a b"), (Texts{"a▁b"}));
}

TEST(PreTokenizers, Stages_see_the_pieces_of_the_stage_before) {
  bool bytes = true;
  EXPECT_EQ(words(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Punctuation", "behavior": "Contiguous"}, {"type": "ByteLevel", "add_prefix_space": false},
      {"type": "Digits"}]})",
                  "ò, a1", &bytes),
            (Texts{"Ã", "²", ",", "Ġa", "1"}))
      << "the byte B2 of ò is spelled ², which the next stage takes for a number";
  EXPECT_FALSE(bytes) << "a stage comes after it";
}

TEST(PreTokenizers, Unknown_and_contradicting_specs_are_refused) {
  EXPECT_THROW(words(R"({"type": "UnicodeScripts"})", "a"), Error);
  EXPECT_THROW(words(R"({"type": "Metaspace", "add_prefix_space": false, "prepend_scheme": "always"})", "a"), Error);
  EXPECT_THROW(words(R"({"type": "Split", "pattern": {"Glob": "x"}, "behavior": "Isolated"})", "a"), Error);
}

TEST(Normalizers, Keep_track_of_origins) {
  const auto normalizer = make_normalizer(Json::parse(R"({"type": "Sequence", "normalizers": [
      {"type": "NFC"}, {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]})"),
                                          "test");
  const AlignedText out = normalizer->apply(align("e\u0301 x", 10, true), true);
  EXPECT_EQ(out.text, "▁é▁x");
  ASSERT_EQ(out.origin.size(), out.text.size());
  EXPECT_EQ(out.origin[0].begin, 10u);
  EXPECT_EQ(out.origin[0].end, 11u);
  EXPECT_EQ(out.origin[5].begin, 12u);  // the space
  EXPECT_EQ(out.origin[8].begin, 13u);
  EXPECT_EQ(normalizer->apply(align("", 0, true), true).text, "");
  EXPECT_THROW(make_normalizer(Json::parse(R"({"type": "Precompiled"})"), "test"), Error);
}

std::string decoded(const char* spec, Texts tokens) {
  make_decoder(Json::parse(spec), "test")->apply(tokens);
  std::string out;
  for (const std::string& text : tokens) out += text;
  return out;
}

TEST(Decoders, Each_kind) {
  EXPECT_EQ(decoded("null", {"a", "b"}), "a b");
  EXPECT_EQ(decoded(R"({"type": "ByteLevel"})", {"Ġa", "Ã", "©", "<x▁>"}), " aé<x▁>");
  EXPECT_EQ(decoded(R"({"type": "ByteLevel"})", {"Ã", "x"}), "\uFFFDx");
  EXPECT_EQ(decoded(R"({"type": "ByteFallback"})", {"a", "<0xC3>", "<0xA9>", "b", "<0xC3>", "<0x41>"}),
            "aéb\uFFFD\uFFFD");
  EXPECT_EQ(decoded(R"({"type": "Metaspace"})", {"▁a", "▁b"}), "a b");
  EXPECT_EQ(decoded(R"({"type": "Metaspace", "prepend_scheme": "never"})", {"▁a"}), " a");
  EXPECT_EQ(
      decoded(R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})",
              {"▁▁a", "▁b"}),
      " a b");
  EXPECT_THROW(decoded(R"({"type": "CTC"})", {}), Error);
  EXPECT_EQ(byte_of_token("<0x4f>"), 0x4F);
  EXPECT_EQ(byte_of_token("<0x4g>"), -1);
}

TEST(PostProcessor, Template_needs_its_special_tokens) {
  EXPECT_THROW(
      make_post_processor(Json::parse(R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}],
      "pair": [], "special_tokens": {}})"),
                          "test"),
      Error);
  EXPECT_THROW(make_post_processor(Json::parse(R"({"type": "BertProcessing"})"), "test"), Error);
  EXPECT_EQ(make_post_processor(nullptr, "test").pair.size(), 2u);
}

}  // namespace
}  // namespace morex::text
