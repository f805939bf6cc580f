// Properties that hold for every text.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>

#include "base/error.h"
#include "support/paths.h"
#include "text/chat_template.h"
#include "text/normalizers.h"
#include "text/regex.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include "unit/text/small_tokenizers.h"

namespace morex::text {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<const Tokenizer> load(const Json& json) {
  const fs::path folder = morex::test::scratch_dir("tokenizer_properties");
  test::write_json(folder / "tokenizer.json", json);
  auto tokenizer = Tokenizer::load(folder);
  fs::remove_all(folder);
  return tokenizer;
}

std::shared_ptr<const Tokenizer> byte_level() {
  static const auto tokenizer = load(
      test::byte_level_json({"h e", "Ġ t", "Ġt he", "l l", "Ã ©", "Ġ Ġ", "ĠĠ ĠĠ", "e e", "ee ee", "a b", "ab ab"}));
  return tokenizer;
}

std::shared_ptr<const Tokenizer> sentence_piece() {
  static const auto tokenizer =
      load(test::sentence_piece_json({"▁", "a", "b", "e", "é", "▁a", "ab", "▁▁"}, {"▁ a", "a b", "▁ ▁"}));
  return tokenizer;
}

// Characters that tokenizers trip over, more often than plain ones of any kind.
rc::Gen<char32_t> character() {
  return rc::gen::weightedOneOf<char32_t>(
      {{6, rc::gen::element<char32_t>(U'a', U'b', U'e', U'h', U't', U' ', U'\n', U'1', U'\'', U'<', U'|', U'é')},
       {2, rc::gen::element<char32_t>(U'\u0301', U'\u0323', U'\u200D', U'\u180E', U'\u00A0', U'\u2028', U'\r', U'\t',
                                      U'\0', U'한', U'\u1100', U'\u1161', U'🙂', U'½', U'▁', U'\uFFFD')},
       {1, rc::gen::map(rc::gen::inRange<uint32_t>(0, 0x110000), [](uint32_t code) {
          return code >= 0xD800 && code < 0xE000 ? U'x' : static_cast<char32_t>(code);
        })}});
}

rc::Gen<std::string> valid_text() {
  return rc::gen::map(rc::gen::container<std::vector<char32_t>>(character()), [](const std::vector<char32_t>& codes) {
    std::string out;
    for (const char32_t code : codes) append_utf8(out, code);
    return out;
  });
}

rc::Gen<std::string> bytes() { return rc::gen::container<std::string>(rc::gen::arbitrary<char>()); }

std::string streamed(const std::shared_ptr<const Tokenizer>& tokenizer, const std::vector<int64_t>& ids, bool skip) {
  StreamDecoder stream(tokenizer, skip);
  std::string out;
  for (const int64_t id : ids) out += stream.push(id);
  return out + stream.finish();
}

TEST(TokenizerProperty, Byte_level_decode_undoes_encode) {
  EXPECT_TRUE(rc::check("round trip", [] {
    const std::string text = *valid_text();
    RC_ASSERT(byte_level()->decode(byte_level()->encode(text, false), false) == text);
  }));
}

std::shared_ptr<const Tokenizer> word_piece() {
  static const auto tokenizer = Tokenizer::load(morex::test::tiny_encoder());
  return tokenizer;
}

std::string without_spaces(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_code_point(text, at);
    if (!is_white_space(point.code)) out += text.substr(at, point.length);
    at += point.length;
  }
  return out;
}

// What normalisation leaves is spelled by the tokens, but for words that hold a character without a token.
TEST(TokenizerProperty, Word_piece_loses_no_character_but_those_of_unknown_words) {
  const auto normalizer = make_normalizer({{"type", "BertNormalizer"}}, "test");
  EXPECT_TRUE(rc::check("spelled whole", [&] {
    const std::string text = *valid_text();
    RC_PRE(text.find('[') == std::string::npos);
    const std::string normal = normalized(normalizer.get(), text);
    const Encoding encoding = word_piece()->encode_with_offsets(normal);
    RC_ASSERT(encoding.ids == word_piece()->encode(text, false));
    const std::u32string codes = to_utf32(normal);
    std::string spelled;
    for (size_t i = 0; i < encoding.ids.size(); ++i) {
      std::string token = word_piece()->id_to_token(encoding.ids[i]);
      if (token.starts_with("##")) token.erase(0, 2);
      if (token == "[UNK]") {
        token.clear();
        for (int64_t at = encoding.begin[i]; at < encoding.end[i]; ++at) append_utf8(token, codes[size_t(at)]);
      }
      spelled += token;
    }
    RC_ASSERT(spelled == without_spaces(normal));
  }));
}

TEST(TokenizerProperty, Word_piece_reads_words_one_by_one) {
  EXPECT_TRUE(rc::check("a space between two texts changes nothing", [] {
    const std::string a = *valid_text(), b = *valid_text();
    RC_PRE(a.find('[') == std::string::npos && b.find('[') == std::string::npos);
    std::vector<int64_t> both = word_piece()->encode(a, false);
    const std::vector<int64_t> second = word_piece()->encode(b, false);
    both.insert(both.end(), second.begin(), second.end());
    RC_ASSERT(word_piece()->encode(a + " " + b, false) == both);
  }));
}

TEST(TokenizerProperty, Sentence_piece_decode_undoes_encode) {
  EXPECT_TRUE(rc::check("round trip up to ▁", [] {
    std::string text = *valid_text();
    RC_PRE(text.find("▁") == std::string::npos && text.find('<') == std::string::npos);
    RC_ASSERT(sentence_piece()->decode(sentence_piece()->encode(text, false), false) == text);
  }));
}

TEST(TokenizerProperty, Any_bytes_are_encoded_as_python_would_read_them) {
  EXPECT_TRUE(rc::check("invalid UTF-8", [] {
    const std::string text = *bytes();
    for (const auto& tokenizer : {byte_level(), sentence_piece()}) {
      RC_ASSERT(tokenizer->encode(text, true) == tokenizer->encode(to_valid_utf8(text), true));
    }
  }));
}

TEST(TokenizerProperty, Offsets_go_with_the_same_ids_and_stay_inside) {
  EXPECT_TRUE(rc::check("offsets", [] {
    const std::string text = *valid_text();
    const auto size = static_cast<int64_t>(count_code_points(text));
    for (const auto& tokenizer : {byte_level(), sentence_piece()}) {
      const Encoding encoding = tokenizer->encode_with_offsets(text);
      RC_ASSERT(encoding.ids == tokenizer->encode(text, false));
      RC_ASSERT(encoding.begin.size() == encoding.ids.size() && encoding.end.size() == encoding.ids.size());
      int64_t covered = 0;
      for (size_t i = 0; i < encoding.ids.size(); ++i) {
        RC_ASSERT(encoding.begin[i] <= encoding.end[i] && encoding.end[i] <= size);
        RC_ASSERT(encoding.begin[i] <= covered);
        covered = std::max(covered, encoding.end[i]);
      }
      RC_ASSERT(covered == size);
    }
  }));
}

TEST(TokenizerProperty, Texts_of_byte_level_tokens_side_by_side_are_the_text) {
  EXPECT_TRUE(rc::check("concatenation around a special token", [] {
    const std::string a = *valid_text(), b = *valid_text();
    std::vector<int64_t> ids = byte_level()->encode(a, false);
    ids.push_back(*byte_level()->token_to_id("<|end|>"));
    const std::vector<int64_t> rest = byte_level()->encode(b, false);
    ids.insert(ids.end(), rest.begin(), rest.end());
    RC_ASSERT(byte_level()->encode(a + "<|end|>" + b, false) == ids);
  }));
}

TEST(TokenizerProperty, Streaming_gives_what_decoding_gives) {
  EXPECT_TRUE(rc::check("random ids", [] {
    for (const auto& tokenizer : {byte_level(), sentence_piece()}) {
      const auto ids =
          *rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(0, tokenizer->vocab_size() + 2));
      const bool skip = *rc::gen::arbitrary<bool>();
      RC_ASSERT(streamed(tokenizer, ids, skip) == tokenizer->decode(ids, skip));
    }
  }));
  EXPECT_TRUE(rc::check("ids of texts", [] {
    const std::string text = *valid_text();
    for (const auto& tokenizer : {byte_level(), sentence_piece()}) {
      const std::vector<int64_t> ids = tokenizer->encode(text, true);
      RC_ASSERT(streamed(tokenizer, ids, true) == tokenizer->decode(ids, true));
    }
  }));
}

TEST(UnicodeProperty, Surely_normal_texts_are_normal) {
  EXPECT_TRUE(rc::check("NFC", [] {
    const std::string text = *valid_text();
    std::string normal;
    const std::u32string codes = to_utf32(text);
    size_t consumed = 0;
    for (const NormalizedCharacter& c : normalize(codes, NormalForm::kNfc)) {
      append_utf8(normal, c.code);
      consumed += static_cast<size_t>(1 - c.change);
    }
    RC_ASSERT(consumed == codes.size());
    if (is_surely_normal(text, NormalForm::kNfc)) RC_ASSERT(normal == text);
    std::string twice;
    for (const NormalizedCharacter& c : normalize(to_utf32(normal), NormalForm::kNfc)) append_utf8(twice, c.code);
    RC_ASSERT(twice == normal);
  }));
}

TEST(ChatTemplateProperty, Any_source_is_rendered_or_refused) {
  const OrderedJson messages = OrderedJson::parse(R"([{"role": "user", "content": "x"}])");
  EXPECT_TRUE(rc::check("fuzz", [&] {
    const auto parts = *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
        "{{", "}}", "{%", "%}", "-%}", "{%-", "{#", "#}", " if ", " for ", " in ", "endif", "endfor", "else", "set ",
        "x", "messages", "=", "|", "'a'", "1", "2.5", "(", ")", "[", "]", "{", "}", ".", ",", ":", "~", "+", "*", "-",
        " is ", " not ", "defined", "upper", "join", "\n", " ", "macro m()", "endmacro", "raw", "endraw", "\\", "é"));
    std::string source;
    for (const std::string& part : parts) source += part;
    try {
      ChatTemplate(source, {}).render(messages, true);
    } catch (const Error&) {
    }
  }));
}

}  // namespace
}  // namespace morex::text
