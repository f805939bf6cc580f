#include "text/decoders.h"
#include "text/tokenizer.h"

namespace morex::text {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";

}  // namespace

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special_tokens)
    : tokenizer_(std::move(tokenizer)), skip_(skip_special_tokens) {}

std::string StreamDecoder::push(int64_t id) {
  ids_.push_back(id);
  // A byte token's text depends on the byte tokens that follow it; an id without text does not part them.
  const std::string token = tokenizer_->id_to_token(id);
  const bool silent = token.empty() || (skip_ && tokenizer_->is_special(id));
  if (silent || byte_of_token(token) >= 0) return "";
  const std::string text = tokenizer_->decode(ids_, skip_);
  // A U+FFFD at the end may be the start of a character that is not complete.
  const bool open = text.ends_with(kReplacement);
  const size_t end = text.size() - (open ? kReplacement.size() : 0);
  if (end < emitted_) return "";
  std::string piece = text.substr(emitted_, end - emitted_);
  emitted_ = end;
  if (!open) {
    // What is finished need not be decoded again: the last token alone is context enough, if it has text of its own.
    const std::string last = tokenizer_->decode({&ids_.back(), 1}, skip_);
    if (!last.empty()) {
      ids_.erase(ids_.begin(), ids_.end() - 1);
      emitted_ = last.size();
    }
  }
  return piece;
}

std::string StreamDecoder::finish() {
  const std::string text = tokenizer_->decode(ids_, skip_);
  std::string piece = text.size() > emitted_ ? text.substr(emitted_) : std::string();
  ids_.clear();
  emitted_ = 0;
  return piece;
}

}  // namespace morex::text
