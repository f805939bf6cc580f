#include "eval/text_stream.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace morex::eval {

TextStream::TextStream(const text::Tokenizer* tokenizer, std::vector<std::string> stop_strings,
                       std::function<void(const std::string&)> on_text)
    : stop_strings_(std::move(stop_strings)), on_text_(std::move(on_text)) {
  if (tokenizer == nullptr) return;
  // The caller keeps the tokenizer alive: a shared pointer that owns nothing.
  decoder_ = std::make_unique<text::StreamDecoder>(
      std::shared_ptr<const text::Tokenizer>(std::shared_ptr<const text::Tokenizer>(), tokenizer));
}

bool TextStream::push(int64_t id) { return decoder_ != nullptr && add(decoder_->push(id)); }

std::string TextStream::finish() {
  if (decoder_ != nullptr && !stopped_) {
    add(decoder_->finish());
    if (!stopped_) emit(text_.size());
  }
  return text_;
}

bool TextStream::add(const std::string& part) {
  if (part.empty()) return false;
  const size_t old_size = text_.size();
  text_ += part;
  size_t cut = std::string::npos;
  for (const std::string& stop : stop_strings_) {
    const size_t from = old_size >= stop.size() ? old_size - stop.size() + 1 : 0;
    cut = std::min(cut, text_.find(stop, from));
  }
  stopped_ = cut != std::string::npos;
  if (stopped_) text_.resize(cut);
  emit(stopped_ ? cut : text_.size() - held_back());
  return stopped_;
}

size_t TextStream::held_back() const {
  size_t longest = 0;
  const std::string_view text = text_;
  for (const std::string& stop : stop_strings_) {
    for (size_t n = std::min(stop.size() - 1, text.size()); n > longest; --n) {
      if (text.ends_with(std::string_view(stop).substr(0, n))) longest = n;
    }
  }
  return longest;
}

void TextStream::emit(size_t end) {
  if (end <= emitted_) return;
  if (on_text_) on_text_(text_.substr(emitted_, end - emitted_));
  emitted_ = end;
}

}  // namespace morex::eval
