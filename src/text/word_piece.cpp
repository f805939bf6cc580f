#include "text/word_piece.h"

#include <fmt/core.h>

#include <algorithm>

#include "text/utf8.h"

namespace morex::text {
namespace {

struct Scratch : ModelScratch {
  std::string token;  // prefix and characters of the candidate
};

}  // namespace

WordPiece::WordPiece(const Vocabulary& vocabulary, WordPieceOptions options)
    : vocabulary_(vocabulary), options_(std::move(options)) {
  for (int32_t id = 0; id < vocabulary.size(); ++id)
    longest_token_ = std::max(longest_token_, vocabulary.token(id).size());
}

std::unique_ptr<ModelScratch> WordPiece::make_scratch() const { return std::make_unique<Scratch>(); }

void WordPiece::encode(std::string_view word, ModelScratch& scratch, std::vector<int64_t>& ids,
                       std::vector<ByteRange>* ranges) const {
  if (word.empty()) return;
  std::string& token = static_cast<Scratch&>(scratch).token;
  const size_t first = ids.size(), first_range = ranges == nullptr ? 0 : ranges->size();
  bool known = static_cast<int64_t>(count_code_points(word)) <= options_.longest_word;
  for (size_t begin = 0; known && begin < word.size();) {
    const std::string_view prefix = begin > 0 ? std::string_view(options_.prefix) : std::string_view();
    size_t end = begin + std::min(word.size() - begin, longest_token_);
    int32_t id = Vocabulary::kAbsent;
    for (; end > begin; --end) {
      if (end < word.size() && is_continuation(static_cast<unsigned char>(word[end]))) continue;
      token.assign(prefix).append(word, begin, end - begin);
      id = vocabulary_.find(token);
      if (id != Vocabulary::kAbsent) break;
    }
    known = id != Vocabulary::kAbsent;
    if (!known) break;
    ids.push_back(id);
    if (ranges != nullptr) ranges->push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
    begin = end;
  }
  if (known) return;
  ids.resize(first);
  ids.push_back(options_.unk);
  if (ranges == nullptr) return;
  ranges->resize(first_range);
  ranges->push_back({0, static_cast<uint32_t>(word.size())});
}

std::string WordPiece::rules() const {
  return fmt::format("wordpiece {} {} {}", options_.prefix, options_.unk, options_.longest_word);
}

}  // namespace morex::text
