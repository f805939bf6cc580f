#include "text/tokenizer_spec.h"

namespace morex::text {

MergeReader::MergeReader(TokenizerSpec& spec, size_t expected, bool keep_first) : spec_(spec), keep_first_(keep_first) {
  entries_.reserve(expected);
}

void MergeReader::add(std::string_view left, std::string_view right) {
  const auto number = static_cast<int32_t>(entries_.size());
  const auto id_of = [&](std::string_view token) {
    const int32_t id = spec_.vocabulary.find(token);
    MOREX_CHECK(id != Vocabulary::kAbsent, ErrorKind::kFormat,
                "[{}] merge {} ('{}' + '{}') needs the token '{}', which is not in the vocabulary", spec_.where, number,
                left, right, token);
    return id;
  };
  // Tokens mostly lie in the order of the merges that make them: then no table is searched.
  const int32_t likely = entries_.empty() ? Vocabulary::kAbsent : entries_.back().merge.id + 1;
  const std::string_view there = spec_.vocabulary.token(likely);
  int32_t merged = likely;
  if (there.size() != left.size() + right.size() || !there.starts_with(left) || !there.ends_with(right) ||
      !spec_.vocabulary.unique()) {
    merged = id_of(std::string(left).append(right));
  }
  entries_.push_back({id_of(left), id_of(right), {number, merged}});
}

void MergeReader::add_line(std::string_view line) {
  const size_t space = line.find(' ');
  MOREX_CHECK(space != std::string_view::npos && line.find(' ', space + 1) == std::string_view::npos,
              ErrorKind::kFormat, "[{}] merge {} must be two tokens with one space between them, got '{}'", spec_.where,
              entries_.size(), line);
  add(line.substr(0, space), line.substr(space + 1));
}

void MergeReader::finish() { spec_.merges.add_all(entries_, keep_first_); }

}  // namespace morex::text
