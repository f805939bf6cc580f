#include "report/token_texts.h"

#include "text/utf8.h"

namespace morex::report {

std::vector<std::string> token_texts(const std::shared_ptr<const text::Tokenizer>& tokenizer,
                                     const std::vector<int64_t>& ids) {
  text::StreamDecoder decoder(tokenizer, /*skip_special_tokens=*/false);
  std::vector<std::string> texts;
  for (const int64_t id : ids) texts.push_back(text::to_valid_utf8(decoder.push(id)));
  if (!texts.empty()) texts.back() += text::to_valid_utf8(decoder.finish());
  return texts;
}

}  // namespace morex::report
