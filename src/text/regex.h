// Unicode regular expressions of tokenizer files, on PCRE2.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace morex::text {

// Bytes [begin, end) of a text.
struct ByteRange {
  uint32_t begin = 0;
  uint32_t end = 0;
  bool operator==(const ByteRange&) const = default;
};

class Regex {
 public:
  // The dialect is Oniguruma's as far as tokenizer files use it; `\s` is exactly Unicode's White_Space. Throws
  // Error(kFormat) with `where` when the pattern does not compile.
  Regex(std::string_view pattern, const std::string& where);

  // Appends every match in `valid_text`, left to right. Thread-safe.
  void find_all(std::string_view valid_text, std::vector<ByteRange>& matches) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

// The pattern with \s and \S written out, inside and outside of classes (PCRE2's own \s also holds U+180E).
std::string spell_out_white_space(std::string_view pattern);

}  // namespace morex::text
