// Regular expressions over module paths, with the meaning Python's `re` gives them in PEFT.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace morex::adapters {

class ModulePattern {
 public:
  // Throws Error(kConfig) naming `where` when it is no valid expression.
  ModulePattern(const std::string& expression, const std::string& where);
  bool matches_whole(std::string_view text) const;                               // re.fullmatch
  std::optional<std::string> first_group_at_start(std::string_view text) const;  // re.match(...).group(1)

 private:
  bool match(std::string_view text, uint32_t options, std::string* group) const;
  std::shared_ptr<const void> code_;
};

}  // namespace morex::adapters
