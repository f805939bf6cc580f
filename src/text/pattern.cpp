#include "text/pattern.h"

#include "base/error.h"

namespace morex::text {

Pattern::Pattern(const Json& spec, const std::string& where) {
  if (spec.is_object() && spec.size() == 1 && spec.begin()->is_string()) {
    const std::string& kind = spec.begin().key();
    const auto value = spec.begin()->get<std::string>();
    if (kind == "Regex") {
      regex_.emplace(value, where);
      return;
    }
    if (kind == "String" && !value.empty()) {
      literal_ = value;
      return;
    }
  }
  fail(ErrorKind::kFormat, R"([{}] pattern must be {{"Regex": text}} or {{"String": text}}, got {})", where,
       spec.dump());
}

void Pattern::find_all(std::string_view valid_text, std::vector<ByteRange>& matches) const {
  if (regex_) {
    regex_->find_all(valid_text, matches);
    return;
  }
  for (size_t at = valid_text.find(literal_); at != std::string_view::npos;
       at = valid_text.find(literal_, at + literal_.size())) {
    matches.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(at + literal_.size())});
  }
}

}  // namespace morex::text
