#include "text/pipeline.h"

#include <algorithm>
#include <utility>

#include "base/checksum.h"
#include "text/byte_alphabet.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace morex::text {

struct PipelineTokenizer::Scratch {
  std::unique_ptr<ModelScratch> model;
  Pieces pieces;
  std::vector<TextPart> raw_parts, parts;
  std::vector<ByteRange> ranges;
};

// Working memory for one call; afterwards it waits, with its cache, for the next.
class PipelineTokenizer::Lease {
 public:
  explicit Lease(const PipelineTokenizer& owner) : owner_(owner) {
    {
      const std::lock_guard lock(owner.free_mutex_);
      if (!owner.free_.empty()) {
        scratch_ = std::move(owner.free_.back());
        owner.free_.pop_back();
      }
    }
    if (scratch_ == nullptr) {
      scratch_ = std::make_unique<Scratch>();
      scratch_->model = owner.model_->make_scratch();
    }
  }
  ~Lease() {
    const std::lock_guard lock(owner_.free_mutex_);
    owner_.free_.push_back(std::move(scratch_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Scratch& operator*() { return *scratch_; }

 private:
  const PipelineTokenizer& owner_;
  std::unique_ptr<Scratch> scratch_;
};

PipelineTokenizer::PipelineTokenizer(TokenizerSpec spec) : spec_(std::move(spec)) {
  normalizer_ = make_normalizer(spec_.normalizer, spec_.where);
  pre_tokenizers_ = make_pre_tokenizers(spec_.pre_tokenizer, spec_.where);
  post_processor_ = make_post_processor(spec_.post_processor, spec_.where);
  decoder_ = make_decoder(spec_.decoder, spec_.where);
  added_.set(std::move(spec_.added_tokens), normalizer_.get());
  spec_.bpe.byte_level = pre_tokenizers_.byte_level;
  if (spec_.word_piece) {
    model_ = std::make_unique<WordPiece>(spec_.vocabulary, *spec_.word_piece);
  } else {
    model_ = std::make_unique<Bpe>(spec_.vocabulary, std::move(spec_.merges), spec_.bpe);
  }
  vocab_size_ = spec_.vocabulary.size();
  for (const AddedToken& token : added_.tokens()) vocab_size_ = std::max<int64_t>(vocab_size_, token.id + 1);
}

void PipelineTokenizer::encode_into(std::string_view text, std::vector<int64_t>& ids, Encoding* offsets) const {
  MOREX_CHECK(text.size() < INT32_MAX, ErrorKind::kData, "[tokenizer] a text must be shorter than 2 GiB, got {} bytes",
              text.size());
  const std::optional<std::string> replaced = replace_invalid_utf8(text);
  if (replaced) text = *replaced;
  Lease lease(*this);
  Scratch& scratch = *lease;
  scratch.raw_parts.clear();
  added_.split_raw(text, scratch.raw_parts);
  // Tokens that swallow spaces may overlap, so positions are counted from the last place that is surely behind.
  uint32_t counted = 0, characters = 0;
  const auto character_at = [&](uint32_t byte) {
    if (byte < counted) return static_cast<uint32_t>(count_code_points(text.substr(0, byte)));
    characters += static_cast<uint32_t>(count_code_points(text.substr(counted, byte - counted)));
    counted = byte;
    return characters;
  };
  for (const TextPart& part : scratch.raw_parts) {
    const std::string_view segment = text.substr(part.begin, part.end - part.begin);
    const uint32_t first = offsets != nullptr ? character_at(part.begin) : part.begin;
    if (part.id < 0) {
      encode_segment(segment, first, scratch, ids, offsets);
      continue;
    }
    ids.push_back(part.id);
    if (offsets != nullptr) {
      offsets->begin.push_back(first);
      offsets->end.push_back(first + static_cast<int64_t>(count_code_points(segment)));
    }
  }
}

void PipelineTokenizer::encode_segment(std::string_view segment, uint32_t first_character, Scratch& scratch,
                                       std::vector<int64_t>& ids, Encoding* offsets) const {
  const bool tracked = offsets != nullptr;
  const bool changed = normalizer_ != nullptr && normalizer_->may_change(segment);
  AlignedText aligned;
  if (changed || tracked) aligned = align(segment, first_character, tracked);
  if (changed) aligned = normalizer_->apply(std::move(aligned), tracked);
  const std::string_view text = changed ? std::string_view(aligned.text) : segment;

  scratch.parts.clear();
  if (added_.any_normalized()) {
    added_.split_normalized(text, scratch.parts);
  } else if (!text.empty()) {
    scratch.parts.push_back({-1, 0, static_cast<uint32_t>(text.size())});
  }
  const auto add_offsets = [&](const CharacterRange* origin, const ByteRange& range) {
    offsets->begin.push_back(origin[range.begin].begin);
    offsets->end.push_back(origin[range.end - 1].end);
  };
  for (const TextPart& part : scratch.parts) {
    const CharacterRange* origin = tracked ? aligned.origin.data() : nullptr;
    if (part.id >= 0) {
      ids.push_back(part.id);
      if (tracked) add_offsets(origin, {part.begin, part.end});
      continue;
    }
    Pieces& pieces = scratch.pieces;
    pieces.text = text.substr(part.begin, part.end - part.begin);
    pieces.origin = tracked ? origin + part.begin : nullptr;
    pieces.pieces.assign(1, {0, part.end - part.begin});
    pieces.at_start = first_character == 0 && part.begin == 0;
    for (const auto& stage : pre_tokenizers_.stages) stage->apply(pieces);
    for (const ByteRange& piece : pieces.pieces) {
      if (!tracked) {
        model_->encode(pieces.piece(piece), *scratch.model, ids, nullptr);
        continue;
      }
      scratch.ranges.clear();
      model_->encode(pieces.piece(piece), *scratch.model, ids, &scratch.ranges);
      for (const ByteRange& range : scratch.ranges) add_offsets(pieces.origin + piece.begin, range);
    }
  }
}

std::vector<int64_t> PipelineTokenizer::encode(std::string_view text, bool add_special_tokens) const {
  std::vector<int64_t> ids;
  ids.reserve(text.size() / 3 + 8);
  if (!add_special_tokens) {
    encode_into(text, ids, nullptr);
    return ids;
  }
  for (const TemplatePart& part : post_processor_.single) {
    if (part.kind == TemplatePart::Kind::kSpecial) {
      ids.insert(ids.end(), part.ids.begin(), part.ids.end());
    } else {
      encode_into(text, ids, nullptr);
    }
  }
  return ids;
}

std::vector<int64_t> PipelineTokenizer::encode_within(std::string_view text, int64_t limit) const {
  std::vector<int64_t> own;
  encode_into(text, own, nullptr);
  int64_t special = 0;
  for (const TemplatePart& part : post_processor_.single) special += static_cast<int64_t>(part.ids.size());
  MOREX_CHECK(special <= limit, ErrorKind::kConfig,
              "[{}] a text has {} special tokens, more than the {} ids it may have in all", spec_.where, special,
              limit);
  own.resize(std::min(own.size(), static_cast<size_t>(limit - special)));
  std::vector<int64_t> ids;
  for (const TemplatePart& part : post_processor_.single) {
    const std::vector<int64_t>& next = part.kind == TemplatePart::Kind::kSpecial ? part.ids : own;
    ids.insert(ids.end(), next.begin(), next.end());
  }
  return ids;
}

Encoding PipelineTokenizer::encode_with_offsets(std::string_view text) const {
  Encoding encoding;
  encode_into(text, encoding.ids, &encoding);
  if (post_processor_.trim_offsets) trim(encoding);
  return encoding;
}

PairEncoding PipelineTokenizer::encode_pair(std::string_view a, std::string_view b) const {
  PairEncoding out;
  for (const TemplatePart& part : post_processor_.pair) {
    const bool special = part.kind == TemplatePart::Kind::kSpecial;
    const std::vector<int64_t> ids =
        special ? part.ids : encode(part.kind == TemplatePart::Kind::kFirst ? a : b, false);
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    out.type_ids.insert(out.type_ids.end(), ids.size(), part.type_id);
    out.special_mask.insert(out.special_mask.end(), ids.size(), special ? 1 : 0);
  }
  return out;
}

// Takes the white space at each token's ends out of its offsets, counted in the token's own spelling.
void PipelineTokenizer::trim(Encoding& encoding) const {
  const auto is_space = [](char32_t code) { return code == byte_to_letter(' ') || is_white_space(code); };
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const std::u32string token = to_utf32(id_to_token(encoding.ids[i]));
    int64_t leading = std::find_if_not(token.begin(), token.end(), is_space) - token.begin();
    const int64_t trailing = std::find_if_not(token.rbegin(), token.rend(), is_space) - token.rbegin();
    int64_t& begin = encoding.begin[i];
    int64_t& end = encoding.end[i];
    if (leading > 0) {
      if ((i == 0 || begin == 0) && post_processor_.add_prefix_space) leading = 0;
      begin = std::min(begin + leading, end);
    }
    if (trailing > 0 && end >= trailing) end = std::max(end - trailing, begin);
  }
}

std::string PipelineTokenizer::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int64_t id : ids) {
    const AddedToken* added = added_.find(id);
    if (added == nullptr &&
        (id < 0 || id >= spec_.vocabulary.size() || !spec_.vocabulary.has(static_cast<int32_t>(id)))) {
      continue;
    }
    std::string token =
        added != nullptr ? added->content : std::string(spec_.vocabulary.token(static_cast<int32_t>(id)));
    if (skip_special_tokens && added_.is_special(token)) continue;
    tokens.push_back(std::move(token));
  }
  decoder_->apply(tokens);
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

std::optional<int64_t> PipelineTokenizer::token_to_id(std::string_view token) const {
  if (const AddedToken* added = added_.find(token)) return added->id;
  const int32_t id = spec_.vocabulary.find(token);
  return id == Vocabulary::kAbsent ? std::nullopt : std::optional<int64_t>(id);
}

std::string PipelineTokenizer::id_to_token(int64_t id) const {
  if (const AddedToken* added = added_.find(id)) return added->content;
  if (id < 0 || id >= spec_.vocabulary.size()) return "";
  return std::string(spec_.vocabulary.token(static_cast<int32_t>(id)));
}

bool PipelineTokenizer::is_special(int64_t id) const {
  const AddedToken* added = added_.find(id);
  return added != nullptr && added->special;
}

const std::string& PipelineTokenizer::digest() const {
  std::call_once(digest_once_, [this] { digest_ = compute_digest(); });
  return digest_;
}

std::string PipelineTokenizer::compute_digest() const {
  Sha256 hash;
  const auto add = [&](std::string_view text) {
    const uint64_t size = text.size();
    hash.update(std::as_bytes(std::span(&size, 1)));
    hash.update(std::as_bytes(std::span(text.data(), text.size())));
  };
  for (int32_t id = 0; id < spec_.vocabulary.size(); ++id) {
    if (!spec_.vocabulary.has(id)) continue;
    add(std::to_string(id));
    add(spec_.vocabulary.token(id));
  }
  add(model_->rules());
  for (const Json* rule : {&spec_.normalizer, &spec_.pre_tokenizer, &spec_.post_processor}) add(rule->dump());
  for (const AddedToken& token : added_.tokens()) {
    add(token.content);
    add(fmt::format("{} {:d}{:d}{:d}{:d}{:d}", token.id, token.single_word, token.lstrip, token.rstrip,
                    token.normalized, token.special));
  }
  return hash.hex();
}

std::shared_ptr<const Tokenizer> make_tokenizer(TokenizerSpec spec) {
  return std::make_shared<PipelineTokenizer>(std::move(spec));
}

}  // namespace morex::text
