#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "text/utf8.h"

namespace morex::text {
namespace {

constexpr std::string_view kWhiteSpace =
    R"(\x09-\x0D\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
// Everything else, for a negated \S inside a class.
constexpr std::string_view kNotWhiteSpace =
    R"(\x00-\x08\x0E-\x1F\x21-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027}\x{202A}-\x{202E})"
    R"(\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{D7FF}\x{E000}-\x{10FFFF})";

std::string error_text(int code) {
  char buffer[256] = {};
  pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(buffer), sizeof buffer);
  return buffer;
}

struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  std::string pattern;
  bool compiled = false;  // to machine code
  ~Code() { pcre2_code_free(code); }
};

std::string spell_out_white_space(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      if (next == 's' || next == 'S') {
        if (in_class) {
          out += next == 's' ? kWhiteSpace : kNotWhiteSpace;
        } else {
          out.append(next == 's' ? "[" : "[^").append(kWhiteSpace).append("]");
        }
      } else {
        out.append({c, next});
      }
      continue;
    }
    if (!in_class && c == '[') {
      in_class = true;
      out.push_back(c);
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') out.push_back(pattern[++i]);
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') out.push_back(pattern[++i]);  // a literal ]
      continue;
    }
    if (in_class && c == ']') in_class = false;
    out.push_back(c);
  }
  return out;
}

Regex::Regex(std::string_view pattern, const std::string& where) {
  auto code = std::make_shared<Code>();
  code->pattern = pattern;
  const std::string spelled = spell_out_white_space(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelled.data()), spelled.size(), PCRE2_UTF | PCRE2_UCP,
                             &error, &offset, nullptr);
  MOREX_CHECK(code->code != nullptr, ErrorKind::kFormat, "[{}] the regular expression does not compile ({}): {}", where,
              error_text(error), pattern);
  code->compiled = pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE) == 0;
  code_ = std::move(code);
}

void Regex::find_all(std::string_view valid_text, std::vector<ByteRange>& matches) const {
  const std::unique_ptr<pcre2_match_data, MatchDataDeleter> data(pcre2_match_data_create(1, nullptr));
  const auto subject = reinterpret_cast<PCRE2_SPTR>(valid_text.data());
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(data.get());
  size_t at = 0;
  while (at <= valid_text.size()) {
    int result = PCRE2_ERROR_JIT_STACKLIMIT;
    if (code_->compiled) result = pcre2_jit_match(code_->code, subject, valid_text.size(), at, 0, data.get(), nullptr);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its stack on the heap
      result = pcre2_match(code_->code, subject, valid_text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data.get(),
                           nullptr);
    }
    if (result == PCRE2_ERROR_NOMATCH) return;
    MOREX_CHECK(result >= 0, ErrorKind::kData,
                "[tokenizer] the regular expression {} gave up on a text of {} bytes: {}", code_->pattern,
                valid_text.size(), error_text(result));
    if (found[1] > found[0]) {
      matches.push_back({static_cast<uint32_t>(found[0]), static_cast<uint32_t>(found[1])});
      at = found[1];
    } else {  // nothing consumed: step over one character
      if (found[1] >= valid_text.size()) return;
      at = found[1] + utf8_length(static_cast<unsigned char>(valid_text[found[1]]));
    }
  }
}

}  // namespace morex::text
