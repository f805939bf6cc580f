#include "text/jinja/lexer.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "text/jinja/text_tools.h"
#include "text/jinja/value.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace morex::text::jinja {
namespace {

std::string unify_newlines(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out.push_back(source[i]);
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(unify_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) next_part();
    tokens_.push_back({Token::Kind::kEnd, "", line_});
    return std::move(tokens_);
  }

 private:
  using Kind = Token::Kind;

  [[noreturn]] void fail(const std::string& message) const {
    Problem problem("TemplateSyntaxError", message);
    problem.line = line_;
    throw problem;
  }

  bool starts_with(std::string_view prefix) const { return std::string_view(source_).substr(at_).starts_with(prefix); }
  void advance(size_t to) {
    line_ += static_cast<int>(
        std::count(source_.begin() + static_cast<ptrdiff_t>(at_), source_.begin() + static_cast<ptrdiff_t>(to), '\n'));
    at_ = to;
  }
  void skip_space() {
    size_t to = at_;
    while (to < source_.size()) {
      const CodePoint point = decode_code_point(source_, to);
      if (!is_python_space(point.code)) break;
      to += point.length;
    }
    advance(to);
  }
  // Remembers whether what was just consumed ended a line.
  void finish_tag() { at_line_start_ = at_ > 0 && source_[at_ - 1] == '\n'; }

  void next_part() {
    size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        tag = source_.size();
        break;
      }
      const char next = source_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    std::string text = source_.substr(at_, tag - at_);
    if (tag == source_.size()) {
      put_text(std::move(text));
      advance(tag);
      return;
    }
    const char sort = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (sign == '-') {
      text = python_strip(text, nullptr, false, true);
    } else if (sign != '+' && sort != '{') {
      strip_indent(text);
    }
    put_text(std::move(text));
    advance(tag + 2 + (sign == '-' || sign == '+' ? 1 : 0));
    at_line_start_ = false;
    if (sort == '#') {
      skip_comment();
    } else if (sort == '{') {
      tokens_.push_back({Kind::kVariableBegin, "{{", line_});
      inside_tag("}}", Kind::kVariableEnd);
    } else if (!raw_block()) {
      tokens_.push_back({Kind::kBlockBegin, "{%", line_});
      inside_tag("%}", Kind::kBlockEnd);
    }
  }

  // A block that has only white space before it on its line swallows that.
  void strip_indent(std::string& text) const {
    const size_t newline = text.rfind('\n');
    const size_t begin = newline == std::string::npos ? 0 : newline + 1;
    if (begin == 0 && !at_line_start_) return;
    if (python_strip(std::string_view(text).substr(begin), nullptr, true, true).empty()) text.resize(begin);
  }

  void put_text(std::string text) {
    if (!text.empty()) tokens_.push_back({Kind::kText, std::move(text), line_});
  }

  // Consumes the end marker at the current place: with `-` the white space after it, else (for blocks and comments,
  // unless there is a `+`) one newline.
  bool end_marker(std::string_view marker, bool trims) {
    if (starts_with("-" + std::string(marker))) {
      advance(at_ + marker.size() + 1);
      skip_space();
    } else if (trims && starts_with("+" + std::string(marker))) {
      advance(at_ + marker.size() + 1);
    } else if (starts_with(marker)) {
      advance(at_ + marker.size());
      if (trims && starts_with("\n")) advance(at_ + 1);
    } else {
      return false;
    }
    finish_tag();
    return true;
  }

  void skip_comment() {
    while (at_ < source_.size()) {
      if (end_marker("#}", true)) return;
      advance(at_ + 1);
    }
    fail("Missing end of comment tag");
  }

  bool raw_block() {
    const size_t start = at_;
    const int line = line_;
    skip_space();
    const auto give_up = [&] {
      at_ = start;
      line_ = line;
      return false;
    };
    if (!starts_with("raw")) return give_up();
    advance(at_ + 3);
    skip_space();
    if (starts_with("-%}")) {
      advance(at_ + 3);
      skip_space();
    } else if (starts_with("%}")) {
      advance(at_ + 2);
    } else {
      return give_up();
    }
    finish_tag();
    for (size_t tag = source_.find("{%", at_); tag != std::string::npos; tag = source_.find("{%", tag + 1)) {
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
      const size_t body = at_;
      const int body_line = line_;
      const bool line_start = at_line_start_;
      std::string text = source_.substr(body, tag - body);
      advance(tag + 2 + (sign == '-' || sign == '+' ? 1 : 0));
      skip_space();
      if (starts_with("endraw")) {
        advance(at_ + 6);
        skip_space();
        if (end_marker("%}", true)) {
          const bool ended_line = std::exchange(at_line_start_, line_start);
          if (sign == '-') text = python_strip(text, nullptr, false, true);
          if (sign != '-' && sign != '+') strip_indent(text);
          at_line_start_ = ended_line;
          put_text(std::move(text));
          return true;
        }
      }
      at_ = body;
      line_ = body_line;
    }
    fail("Missing end of raw directive");
  }

  void inside_tag(std::string_view end, Kind end_kind) {
    std::string open;  // brackets that wait for their partner
    while (true) {
      skip_space();
      if (at_ >= source_.size()) {
        tokens_.push_back({Kind::kEnd, "", line_});
        return;
      }
      const int line = line_;
      if (open.empty() && end_marker(end, end_kind == Kind::kBlockEnd)) {
        tokens_.push_back({end_kind, std::string(end), line});
        return;
      }
      const char c = source_[at_];
      if (c == '"' || c == '\'') {
        read_string(c);
      } else if (c >= '0' && c <= '9') {
        read_number();
      } else if (c == '_' || is_word(decode_code_point(source_, at_).code)) {
        read_name();
      } else {
        read_operator(open);
      }
    }
  }

  void read_name() {
    size_t to = at_;
    while (to < source_.size()) {
      const CodePoint point = decode_code_point(source_, to);
      if (!is_word(point.code)) break;
      to += point.length;
    }
    tokens_.push_back({Kind::kName, source_.substr(at_, to - at_), line_});
    advance(to);
  }

  size_t digits_from(size_t at, std::string_view allowed) const {
    while (at < source_.size() && (allowed.find(source_[at]) != std::string_view::npos || source_[at] == '_')) ++at;
    return at;
  }

  void read_number() {
    constexpr std::string_view kDigits = "0123456789";
    size_t to = at_;
    Kind kind = Kind::kInteger;
    const char second = to + 1 < source_.size() ? source_[to + 1] : '\0';
    if (source_[to] == '0' && (second == 'x' || second == 'X')) {
      to = digits_from(to + 2, "0123456789abcdefABCDEF");
    } else if (source_[to] == '0' && (second == 'b' || second == 'B' || second == 'o' || second == 'O')) {
      to = digits_from(to + 2, "01234567");
    } else {
      to = digits_from(to, kDigits);
      const auto digit_at = [&](size_t at) {
        return at < source_.size() && kDigits.find(source_[at]) != std::string_view::npos;
      };
      const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
      if (!after_dot && to < source_.size() && source_[to] == '.' && digit_at(to + 1)) {
        kind = Kind::kFloat;
        to = digits_from(to + 1, kDigits);
      }
      if (!after_dot && to < source_.size() && (source_[to] == 'e' || source_[to] == 'E')) {
        const size_t sign = to + 1 < source_.size() && (source_[to + 1] == '+' || source_[to + 1] == '-') ? 1 : 0;
        if (digit_at(to + 1 + sign)) {
          kind = Kind::kFloat;
          to = digits_from(to + 1 + sign, kDigits);
        }
      }
    }
    std::string text = source_.substr(at_, to - at_);
    std::erase(text, '_');
    tokens_.push_back({kind, std::move(text), line_});
    advance(to);
  }

  void read_string(char quote) {
    size_t to = at_ + 1;
    while (to < source_.size() && source_[to] != quote) to += source_[to] == '\\' ? 2 : 1;
    if (to >= source_.size()) fail(fmt::format("unexpected char {} at {}", repr(std::string_view(&quote, 1)), at_));
    tokens_.push_back({Kind::kString, unescape(std::string_view(source_).substr(at_ + 1, to - at_ - 1)), line_});
    advance(to + 1);
  }

  std::string unescape(std::string_view text) const {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\' || i + 1 == text.size()) {
        out.push_back(text[i]);
        continue;
      }
      const char c = text[++i];
      constexpr std::string_view kLetters = "abfnrtv\\'\"";
      constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
      const size_t simple = kLetters.find(c);
      if (simple != std::string_view::npos) {
        out.push_back(kMeanings[simple]);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        const std::string hex(text.substr(i + 1, count));
        if (hex.size() < count || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
          fail("truncated escape in a string");
        }
        i += count;
        append_utf8(out, static_cast<char32_t>(std::stoul(hex, nullptr, 16)));
      } else if (c >= '0' && c <= '7') {
        char32_t code = 0;
        size_t used = 0;
        for (; used < 3 && i + used < text.size() && text[i + used] >= '0' && text[i + used] <= '7'; ++used) {
          code = 8 * code + static_cast<char32_t>(text[i + used] - '0');
        }
        i += used - 1;
        append_utf8(out, code);
      } else if (c != '\n') {  // an escaped newline is nothing, an unknown escape stays as it is
        out.push_back('\\');
        out.push_back(c);
      }
    }
    return to_valid_utf8(std::move(out));
  }

  void read_operator(std::string& open) {
    static constexpr std::array<std::string_view, 26> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                                    "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                                    ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    const auto found =
        std::find_if(kOperators.begin(), kOperators.end(), [&](std::string_view op) { return starts_with(op); });
    if (found == kOperators.end()) {
      const uint32_t length = decode_code_point(source_, at_).length;
      fail(fmt::format("unexpected char {} at {}", repr(std::string_view(source_).substr(at_, length)), at_));
    }
    const char c = found->front();
    if (c == '(' || c == '[' || c == '{') open.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) fail(fmt::format("unexpected '{}'", c));
      if (open.back() != c) fail(fmt::format("unexpected '{}', expected '{}'", c, open.back()));
      open.pop_back();
    }
    tokens_.push_back({Kind::kOperator, std::string(*found), line_});
    advance(at_ + found->size());
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool at_line_start_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace morex::text::jinja
