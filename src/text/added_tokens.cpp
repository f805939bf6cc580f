#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"
#include "text/utf8.h"

namespace morex::text {
namespace {

size_t previous_character(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && is_continuation(static_cast<unsigned char>(text[at])));
  return at;
}

bool word_ends_at(std::string_view text, size_t at) {
  return at > 0 && is_word(decode_code_point(text, previous_character(text, at)).code);
}
bool word_starts_at(std::string_view text, size_t at) {
  return at < text.size() && is_word(decode_code_point(text, at).code);
}
size_t start_of_space_before(std::string_view text, size_t at) {
  while (at > 0) {
    const size_t before = previous_character(text, at);
    if (!is_white_space(decode_code_point(text, before).code)) break;
    at = before;
  }
  return at;
}
size_t end_of_space_after(std::string_view text, size_t at) {
  while (at < text.size()) {
    const CodePoint point = decode_code_point(text, at);
    if (!is_white_space(point.code)) break;
    at += point.length;
  }
  return at;
}

}  // namespace

void AddedTokens::Tree::add(std::string_view content, int32_t token) {
  if (content.empty()) return;
  int32_t* link = &root[static_cast<unsigned char>(content[0])];
  int32_t node = -1;
  for (const char c : content) {
    const auto byte = static_cast<unsigned char>(c);
    while (*link >= 0 && nodes[*link].byte != byte) link = &nodes[*link].sibling;
    if (*link < 0) {
      *link = static_cast<int32_t>(nodes.size());
      node = *link;
      nodes.push_back({byte, -1, -1, -1});
    } else {
      node = *link;
    }
    link = &nodes[node].child;
  }
  if (nodes[node].token < 0) nodes[node].token = token;
}

std::pair<int32_t, size_t> AddedTokens::Tree::longest(std::string_view text, size_t at) const {
  std::pair<int32_t, size_t> found = {-1, at};
  int32_t node = root[static_cast<unsigned char>(text[at])];
  while (node >= 0) {
    if (nodes[node].byte != static_cast<unsigned char>(text[at])) {
      node = nodes[node].sibling;
      continue;
    }
    ++at;
    if (nodes[node].token >= 0) found = {nodes[node].token, at};
    if (at == text.size()) break;
    node = nodes[node].child;
  }
  return found;
}

void AddedTokens::set(std::vector<AddedToken> tokens, const Normalizer* normalizer) {
  tokens_ = std::move(tokens);
  // Special tokens win over others with the same content.
  std::stable_sort(tokens_.begin(), tokens_.end(), [](const auto& a, const auto& b) { return a.special > b.special; });
  raw_ = Tree();
  normalized_ = Tree();
  by_content_.clear();
  by_id_.clear();
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    by_content_.emplace(token.content, i);
    by_id_.emplace(token.id, i);
    if (token.normalized) {
      normalized_.add(morex::text::normalized(normalizer, token.content), static_cast<int32_t>(i));
    } else {
      raw_.add(token.content, static_cast<int32_t>(i));
    }
  }
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(int64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

bool AddedTokens::is_special(std::string_view content) const {
  const AddedToken* token = find(content);
  return token != nullptr && token->special;
}

void AddedTokens::split(const Tree& tree, std::string_view text, std::vector<TextPart>& parts) const {
  uint32_t done = 0;  // bytes already in a part
  for (size_t at = 0; at < text.size();) {
    if (tree.root[static_cast<unsigned char>(text[at])] < 0) {
      ++at;
      continue;
    }
    const auto [number, end] = tree.longest(text, at);
    if (number < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[number];
    const size_t start = at;
    at = end;
    if (token.single_word && (word_ends_at(text, start) || word_starts_at(text, end))) continue;
    auto begin = static_cast<uint32_t>(start);
    auto stop = static_cast<uint32_t>(end);
    if (token.lstrip) begin = std::max(static_cast<uint32_t>(start_of_space_before(text, start)), done);
    if (token.rstrip) stop = static_cast<uint32_t>(end_of_space_after(text, end));
    if (done < begin) parts.push_back({-1, done, begin});
    parts.push_back({token.id, begin, stop});
    done = stop;
  }
  if (done < text.size()) parts.push_back({-1, done, static_cast<uint32_t>(text.size())});
}

}  // namespace morex::text
