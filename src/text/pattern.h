// A pattern of a tokenizer.json: {"Regex": …} or {"String": …}.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/regex.h"

namespace morex::text {

class Pattern {
 public:
  Pattern(const Json& spec, const std::string& where);
  explicit Pattern(std::string literal) : literal_(std::move(literal)) {}
  explicit Pattern(Regex regex) : regex_(std::move(regex)) {}

  void find_all(std::string_view valid_text, std::vector<ByteRange>& matches) const;

 private:
  std::string literal_;
  std::optional<Regex> regex_;
};

}  // namespace morex::text
