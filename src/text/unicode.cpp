#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/utf8.h"

namespace morex::text {
namespace {

utf8proc_category_t category(char32_t code) { return utf8proc_category(static_cast<utf8proc_int32_t>(code)); }

bool has_compatibility(NormalForm form) { return form == NormalForm::kNfkc || form == NormalForm::kNfkd; }
bool composes(NormalForm form) { return form == NormalForm::kNfc || form == NormalForm::kNfkc; }

int combining_class(char32_t code) {
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(code))->combining_class;
}

// The character that `first` and `second` compose to, 0 when there is none.
char32_t compose(char32_t first, char32_t second) {
  std::array<utf8proc_int32_t, 3> pair = {static_cast<utf8proc_int32_t>(first), static_cast<utf8proc_int32_t>(second),
                                          0};
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  return utf8proc_normalize_utf32(pair.data(), 2, options) == 1 ? static_cast<char32_t>(pair[0]) : 0;
}

std::vector<NormalizedCharacter> decompose(std::u32string_view text, NormalForm form) {
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE |
                                                      (has_compatibility(form) ? UTF8PROC_COMPAT : 0));
  std::vector<NormalizedCharacter> out;
  out.reserve(text.size());
  std::array<utf8proc_int32_t, 32> parts;  // the longest decomposition has 18 characters
  for (const char32_t code : text) {
    int last_boundary = 0;
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), parts.data(),
                                static_cast<utf8proc_ssize_t>(parts.size()), options, &last_boundary);
    MOREX_ASSERT(count >= 0 && count <= static_cast<utf8proc_ssize_t>(parts.size()));
    for (utf8proc_ssize_t i = 0; i < count; ++i) out.push_back({static_cast<char32_t>(parts[i]), i == 0 ? 0 : 1});
  }
  // Canonical order: each run of marks sorted by class.
  for (size_t begin = 0; begin < out.size();) {
    size_t end = begin;
    while (end < out.size() && combining_class(out[end].code) != 0) ++end;
    if (end - begin > 1) {
      std::stable_sort(out.begin() + static_cast<ptrdiff_t>(begin), out.begin() + static_cast<ptrdiff_t>(end),
                       [](const auto& a, const auto& b) { return combining_class(a.code) < combining_class(b.code); });
    }
    begin = end + 1;
  }
  return out;
}

std::vector<NormalizedCharacter> recompose(const std::vector<NormalizedCharacter>& text) {
  std::vector<NormalizedCharacter> out;
  out.reserve(text.size());
  constexpr size_t kNone = static_cast<size_t>(-1);
  size_t starter = kNone;
  int last_class = -1;  // of the character before, -1 right after the starter
  for (const NormalizedCharacter& next : text) {
    const int next_class = combining_class(next.code);
    if (starter != kNone && last_class < next_class) {
      const char32_t composed = compose(out[starter].code, next.code);
      if (composed != 0) {
        out[starter] = {composed, out[starter].change + next.change - 1};
        continue;
      }
    }
    if (next_class == 0) {
      starter = out.size();
      last_class = -1;
    } else {
      last_class = next_class;
    }
    out.push_back(next);
  }
  return out;
}

// One bit per code point: it is left alone by NFC and cannot join what stands before it.
class StableUnderNfc {
 public:
  StableUnderNfc() : bits_(0x110000, true) {
    for (char32_t code = 0x300; code < 0x110000; ++code) {
      if (code == 0xE000) code = 0xF900;  // private use
      if (code == 0x30000) code = 0xE0000;
      if (code == 0xE1000) break;
      const utf8proc_property_t* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(code));
      const bool mark = property->category == UTF8PROC_CATEGORY_MN || property->category == UTF8PROC_CATEGORY_MC;
      const bool conjoining = code >= 0x1160 && code <= 0x11FF;
      bool stable = !mark && !conjoining && property->combining_class == 0;
      if (stable && property->decomp_seqindex != UINT16_MAX && property->decomp_type == 0) {
        const std::vector<NormalizedCharacter> form =
            recompose(decompose(std::u32string_view(&code, 1), NormalForm::kNfc));
        stable = form.size() == 1 && form[0].code == code;
      }
      bits_[code] = stable;
    }
  }
  bool operator[](char32_t code) const { return bits_[code]; }

 private:
  std::vector<bool> bits_;
};

const StableUnderNfc& stable_under_nfc() {
  static const StableUnderNfc table;
  return table;
}

}  // namespace

bool is_white_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000;
}

bool is_number(char32_t code) {
  const utf8proc_category_t c = category(code);
  return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t code) {
  if (code < 0x80) {
    return (code >= 0x21 && code <= 0x2F) || (code >= 0x3A && code <= 0x40) || (code >= 0x5B && code <= 0x60) ||
           (code >= 0x7B && code <= 0x7E);
  }
  const utf8proc_category_t c = category(code);
  return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool is_word(char32_t code) {
  const utf8proc_category_t c = category(code);
  return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_ND) || c == UTF8PROC_CATEGORY_NL ||
         c == UTF8PROC_CATEGORY_PC || code == 0x200C || code == 0x200D || (code >= 0x24B6 && code <= 0x24E9) ||
         (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
         (code >= 0x1F170 && code <= 0x1F189);
}

bool is_printable(char32_t code) {
  if (code == ' ') return true;
  const utf8proc_category_t c = category(code);
  return c != UTF8PROC_CATEGORY_CN && c < UTF8PROC_CATEGORY_ZS;
}

bool is_letter(char32_t code) {
  const utf8proc_category_t c = category(code);
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool is_control(char32_t code) {
  const utf8proc_category_t c = category(code);
  return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CF || c == UTF8PROC_CATEGORY_CO;
}

bool is_nonspacing_mark(char32_t code) { return category(code) == UTF8PROC_CATEGORY_MN; }

char32_t to_lower(char32_t code) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

bool is_surely_normal(std::string_view valid_text, NormalForm form) {
  if (form != NormalForm::kNfc) {
    return std::all_of(valid_text.begin(), valid_text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  }
  for (size_t at = 0; at < valid_text.size();) {
    const auto lead = static_cast<unsigned char>(valid_text[at]);
    if (lead < 0xCC) {  // below U+0300
      at += lead < 0x80 ? 1 : 2;
      continue;
    }
    const CodePoint point = decode_code_point(valid_text, at);
    if (!stable_under_nfc()[point.code]) return false;
    at += point.length;
  }
  return true;
}

std::vector<NormalizedCharacter> normalize(std::u32string_view text, NormalForm form) {
  std::vector<NormalizedCharacter> out = decompose(text, form);
  return composes(form) ? recompose(out) : out;
}

}  // namespace morex::text
