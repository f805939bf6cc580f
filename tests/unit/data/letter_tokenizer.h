// A tokenizer for tests: one id per code point (its value + 100), four special tokens that are recognised in the text.
#pragma once
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace morex::test {

class LetterTokenizer final : public text::Tokenizer {
 public:
  static constexpr int64_t kBos = 1, kEos = 2, kStart = 3, kEnd = 4, kFirstLetter = 100;

  explicit LetterTokenizer(std::string chat_template = "") : chat_template_(std::move(chat_template)) {}

  bool add_bos = true, add_eos = false, has_eos = true;

  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens) const override {
    std::vector<int64_t> ids;
    if (add_special_tokens && add_bos) ids.push_back(kBos);
    const text::Encoding encoding = encode_with_offsets(text);
    ids.insert(ids.end(), encoding.ids.begin(), encoding.ids.end());
    if (add_special_tokens && add_eos) ids.push_back(kEos);
    return ids;
  }

  std::vector<int64_t> encode_within(std::string_view text, int64_t limit) const override {
    std::vector<int64_t> ids = encode(text, true);
    const auto excess = std::max<int64_t>(0, static_cast<int64_t>(ids.size()) - limit);
    ids.erase(ids.end() - add_eos - excess, ids.end() - add_eos);
    return ids;
  }

  text::Encoding encode_with_offsets(std::string_view text) const override {
    text::Encoding encoding;
    int64_t position = 0;
    while (!text.empty()) {
      const auto [id, bytes] = next(text);
      int64_t letters = 0;
      for (const char c : text.substr(0, bytes)) letters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
      encoding.ids.push_back(id);
      encoding.begin.push_back(position);
      encoding.end.push_back(position += letters);
      text.remove_prefix(bytes);
    }
    return encoding;
  }

  text::PairEncoding encode_pair(std::string_view, std::string_view) const override { return {}; }

  // Letters of ASCII only.
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const override {
    std::string text;
    for (const int64_t id : ids) {
      if (id >= kFirstLetter)
        text += static_cast<char>(id - kFirstLetter);
      else if (!skip_special_tokens)
        text += id_to_token(id);
    }
    return text;
  }

  std::optional<int64_t> token_to_id(std::string_view token) const override {
    for (size_t i = 0; i < kSpecials.size(); ++i)
      if (kSpecials[i] == token) return static_cast<int64_t>(i) + 1;
    return std::nullopt;
  }
  std::string id_to_token(int64_t id) const override {
    return is_special(id) ? std::string(kSpecials[static_cast<size_t>(id - 1)]) : "";
  }
  bool is_special(int64_t id) const override { return id >= 1 && id <= static_cast<int64_t>(kSpecials.size()); }
  int64_t vocab_size() const override { return kFirstLetter + 0x110000; }
  const text::SpecialTokens& special_tokens() const override { return has_eos ? special_tokens_ : no_eos_; }
  const std::string& chat_template() const override { return chat_template_; }
  const std::string& digest() const override { return digest_; }

 private:
  static constexpr std::array<std::string_view, 4> kSpecials = {"<s>", "</s>", "<|im_start|>", "<|im_end|>"};

  static std::pair<int64_t, size_t> next(std::string_view text) {
    for (size_t i = 0; i < kSpecials.size(); ++i)
      if (text.starts_with(kSpecials[i])) return {static_cast<int64_t>(i) + 1, kSpecials[i].size()};
    const auto lead = static_cast<unsigned char>(text[0]);
    const size_t bytes = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    int64_t value = bytes == 1 ? lead : lead & (0xFF >> (bytes + 1));
    for (size_t i = 1; i < bytes; ++i) value = value << 6 | (static_cast<unsigned char>(text[i]) & 0x3F);
    return {kFirstLetter + value, bytes};
  }

  std::string chat_template_, digest_ = "letters";
  text::SpecialTokens special_tokens_ = {"<s>", "</s>", "", ""};
  text::SpecialTokens no_eos_ = {"<s>", "", "", ""};
};

inline constexpr const char* kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

}  // namespace morex::test
