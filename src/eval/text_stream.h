// The text of a growing list of ids, cut at the first stop string.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace morex::eval {

class TextStream {
 public:
  // Without a tokenizer the text stays empty. on_text receives each part once it can no longer be cut away.
  TextStream(const text::Tokenizer* tokenizer, std::vector<std::string> stop_strings,
             std::function<void(const std::string&)> on_text);

  bool push(int64_t id);  // true when a stop string is complete
  std::string finish();   // the whole text

 private:
  bool add(const std::string& part);
  size_t held_back() const;  // bytes at the end that may be the beginning of a stop string
  void emit(size_t end);

  std::unique_ptr<text::StreamDecoder> decoder_;
  std::vector<std::string> stop_strings_;
  std::function<void(const std::string&)> on_text_;
  std::string text_;
  size_t emitted_ = 0;
  bool stopped_ = false;
};

}  // namespace morex::eval
