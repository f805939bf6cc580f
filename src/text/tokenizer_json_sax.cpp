#include "text/tokenizer_json_sax.h"

#include <utility>

namespace morex::text {

TokenizerJsonHandler::Text TokenizerJsonHandler::keep(std::string_view text) {
  const Text kept = {static_cast<uint32_t>(texts_.size()), static_cast<uint32_t>(text.size())};
  texts_.append(text);
  return kept;
}

bool TokenizerJsonHandler::refuse(std::string what) {
  error = std::move(what);
  return false;
}

Json& TokenizerJsonHandler::put(Json v) {
  if (open_.empty()) return rest = std::move(v);
  Json& parent = *open_.back();
  if (parent.is_array()) return parent.emplace_back(std::move(v));
  return parent[key_] = std::move(v);
}

bool TokenizerJsonHandler::value(Json v) {
  if (mode_ == Mode::kVocabulary) return refuse("model.vocab must give every token an id that is a natural number");
  if (mode_ != Mode::kTree) return refuse("model.merges must be a list of texts or of pairs of texts");
  put(std::move(v));
  return true;
}

bool TokenizerJsonHandler::number_unsigned(number_unsigned_t v) {
  if (mode_ != Mode::kVocabulary) return value(v);
  vocabulary.push_back({token_, static_cast<int64_t>(v)});
  return true;
}

bool TokenizerJsonHandler::string(string_t& v) {
  if (mode_ == Mode::kMerges) {
    merges.push_back({keep(v), {}, true});
    return true;
  }
  if (mode_ == Mode::kMergePair) {
    if (++pair_size_ > 2) return refuse("model.merges must be a list of texts or of pairs of texts");
    (pair_size_ == 1 ? merges.back().left : merges.back().right) = keep(v);
    return true;
  }
  return value(std::move(v));
}

bool TokenizerJsonHandler::key(string_t& name) {
  if (mode_ == Mode::kVocabulary) {
    token_ = keep(name);
  } else {
    key_ = std::move(name);
  }
  return true;
}

bool TokenizerJsonHandler::start_object(size_t) {
  if (mode_ != Mode::kTree) return value(nullptr);
  if (open_.size() == 2 && in_model_ && key_ == "vocab") {
    if (has_vocabulary) return refuse("model.vocab stands there twice");
    mode_ = Mode::kVocabulary;
    has_vocabulary = true;
    return true;
  }
  if (open_.size() == 1 && open_[0]->is_object()) in_model_ = key_ == "model";
  open_.push_back(&put(Json::object()));
  return true;
}

bool TokenizerJsonHandler::end_object() {
  if (mode_ == Mode::kVocabulary) {
    mode_ = Mode::kTree;
  } else {
    open_.pop_back();
  }
  return true;
}

bool TokenizerJsonHandler::start_array(size_t) {
  if (mode_ == Mode::kMerges) {
    mode_ = Mode::kMergePair;
    pair_size_ = 0;
    merges.emplace_back();
    return true;
  }
  if (mode_ != Mode::kTree) return value(nullptr);
  if (open_.size() == 2 && in_model_ && key_ == "merges") {
    if (has_merges) return refuse("model.merges stands there twice");
    mode_ = Mode::kMerges;
    has_merges = true;
    return true;
  }
  if (open_.size() == 1 && open_[0]->is_object()) in_model_ = false;
  open_.push_back(&put(Json::array()));
  return true;
}

bool TokenizerJsonHandler::end_array() {
  if (mode_ == Mode::kMergePair) {
    if (pair_size_ != 2) return refuse("model.merges must be a list of texts or of pairs of texts");
    mode_ = Mode::kMerges;
  } else if (mode_ == Mode::kMerges) {
    mode_ = Mode::kTree;
  } else {
    open_.pop_back();
  }
  return true;
}

bool TokenizerJsonHandler::parse_error(size_t, const std::string&, const nlohmann::json::exception& problem) {
  return refuse(problem.what());
}

}  // namespace morex::text
