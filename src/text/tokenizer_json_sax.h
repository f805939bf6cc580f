// Parses a tokenizer.json in one pass: the two long lists (model.vocab and model.merges) go into flat arrays, all else
// into a JSON value.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace morex::text {

class TokenizerJsonHandler : public nlohmann::json_sax<Json> {
 public:
  struct Text {
    uint32_t begin = 0, size = 0;
  };
  struct VocabularyEntry {
    Text token;
    int64_t id;
  };
  struct MergeEntry {
    Text left, right;
    bool is_line = false;  // `left` is "left right"
  };

  Json rest;  // without model.vocab (where it is an object) and model.merges
  std::vector<VocabularyEntry> vocabulary;
  std::vector<MergeEntry> merges;
  bool has_vocabulary = false, has_merges = false;
  std::string error;  // what is wrong when parsing returns false

  std::string_view view(const Text& text) const { return std::string_view(texts_).substr(text.begin, text.size); }
  size_t text_bytes() const { return texts_.size(); }

  bool null() override { return value(nullptr); }
  bool boolean(bool v) override { return value(v); }
  bool number_integer(number_integer_t v) override { return value(v); }
  bool number_unsigned(number_unsigned_t v) override;
  bool number_float(number_float_t v, const string_t&) override { return value(v); }
  bool string(string_t& v) override;
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override;
  bool key(string_t& name) override;
  bool end_object() override;
  bool start_array(size_t) override;
  bool end_array() override;
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& problem) override;

 private:
  enum class Mode { kTree, kVocabulary, kMerges, kMergePair };
  Text keep(std::string_view text);
  bool value(Json v);
  Json& put(Json v);
  bool refuse(std::string what);

  Mode mode_ = Mode::kTree;
  std::string texts_;
  std::vector<Json*> open_;  // containers around the current place
  std::string key_;
  bool in_model_ = false;
  Text token_;
  int pair_size_ = 0;
};

}  // namespace morex::text
