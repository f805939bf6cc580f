#include "text/bert_normalizer.h"

#include <array>
#include <utility>

#include "text/unicode.h"
#include "text/utf8.h"

namespace morex::text {
namespace {

// Each character becomes none, one or more.
class MapCharacters : public Normalizer {
 public:
  using Map = void (*)(char32_t code, std::u32string& out);
  explicit MapCharacters(Map map) : map_(map) {}
  bool may_change(std::string_view text) const override { return !text.empty(); }
  AlignedText apply(AlignedText text, bool tracked) const override {
    AlignedText out;
    out.text.reserve(text.text.size());
    std::u32string mapped;
    std::string bytes;
    for (size_t at = 0; at < text.text.size();) {
      const CodePoint point = decode_code_point(text.text, at);
      mapped.clear();
      bytes.clear();
      map_(point.code, mapped);
      for (const char32_t code : mapped) append_utf8(bytes, code);
      out.append(bytes, tracked ? text.origin[at] : CharacterRange{}, tracked);
      at += point.length;
    }
    return out;
  }

 private:
  Map map_;
};

void clean(char32_t code, std::u32string& out) {
  const bool blank = code == '\t' || code == '\n' || code == '\r';
  if (code == 0xFFFD || (!blank && is_control(code))) return;
  out.push_back(is_white_space(code) ? U' ' : code);
}

bool is_chinese(char32_t code) {
  // As the reference has them: one range begins 0x100 late.
  constexpr std::array<std::pair<char32_t, char32_t>, 8> kRanges = {{{0x4E00, 0x9FFF},
                                                                     {0x3400, 0x4DBF},
                                                                     {0x20000, 0x2A6DF},
                                                                     {0x2A700, 0x2B73F},
                                                                     {0x2B740, 0x2B81F},
                                                                     {0x2B920, 0x2CEAF},
                                                                     {0xF900, 0xFAFF},
                                                                     {0x2F800, 0x2FA1F}}};
  for (const auto& [first, last] : kRanges)
    if (code >= first && code <= last) return true;
  return false;
}

void space_chinese(char32_t code, std::u32string& out) {
  if (is_chinese(code)) {
    out.append({U' ', code, U' '});
  } else {
    out.push_back(code);
  }
}

void drop_marks(char32_t code, std::u32string& out) {
  if (!is_nonspacing_mark(code)) out.push_back(code);
}

void lower(char32_t code, std::u32string& out) {
  constexpr char32_t kDottedI = 0x130;  // the one letter whose small form is two characters
  if (code == kDottedI) {
    out.append({U'i', char32_t{0x307}});
  } else {
    out.push_back(to_lower(code));
  }
}

}  // namespace

std::vector<std::unique_ptr<const Normalizer>> bert_normalizer_steps(const JsonReader& options) {
  std::vector<std::unique_ptr<const Normalizer>> steps;
  const auto map = [&](MapCharacters::Map with) { steps.push_back(std::make_unique<MapCharacters>(with)); };
  const bool lowercase = options.get_or<bool>("lowercase", true);
  if (options.get_or<bool>("clean_text", true)) map(clean);
  if (options.get_or<bool>("handle_chinese_chars", true)) map(space_chinese);
  if (options.get_or<bool>("strip_accents", lowercase)) {
    steps.push_back(make_normalizer({{"type", "NFD"}}, options.where()));
    map(drop_marks);
  }
  if (lowercase) map(lower);
  return steps;
}

}  // namespace morex::text
