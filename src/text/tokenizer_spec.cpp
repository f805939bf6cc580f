#include "text/tokenizer_spec.h"

namespace morex::text {

void add_merge(TokenizerSpec& spec, std::string_view left, std::string_view right, int32_t number, bool keep_first) {
  const auto id_of = [&](std::string_view token) {
    const int32_t id = spec.vocabulary.find(token);
    MOREX_CHECK(id != Vocabulary::kAbsent, ErrorKind::kFormat,
                "[{}] merge {} ('{}' + '{}') needs the token '{}', which is not in the vocabulary", spec.where, number,
                left, right, token);
    return id;
  };
  char joined[256];
  int32_t merged = 0;
  const size_t size = left.size() + right.size();
  if (size <= sizeof joined) {  // nearly always
    left.copy(joined, left.size());
    right.copy(joined + left.size(), right.size());
    merged = id_of({joined, size});
  } else {
    merged = id_of(std::string(left).append(right));
  }
  spec.merges.add(id_of(left), id_of(right), {number, merged}, keep_first);
}

void add_merge_line(TokenizerSpec& spec, std::string_view line, int32_t number, bool keep_first) {
  const size_t space = line.find(' ');
  MOREX_CHECK(space != std::string_view::npos && line.find(' ', space + 1) == std::string_view::npos,
              ErrorKind::kFormat, "[{}] merge {} must be two tokens with one space between them, got '{}'", spec.where,
              number, line);
  add_merge(spec, line.substr(0, space), line.substr(space + 1), number, keep_first);
}

}  // namespace morex::text
