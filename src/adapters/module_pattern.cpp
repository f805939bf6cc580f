#define PCRE2_CODE_UNIT_WIDTH 8
#include "adapters/module_pattern.h"

#include <pcre2.h>

#include "base/error.h"

namespace morex::adapters {

ModulePattern::ModulePattern(const std::string& expression, const std::string& where) {
  int error = 0;
  size_t offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(), PCRE2_UTF,
                                   &error, &offset, nullptr);
  if (code == nullptr) {
    PCRE2_UCHAR text[256] = {};
    pcre2_get_error_message(error, text, sizeof text);
    fail(ErrorKind::kConfig, "[{}] must be a valid regular expression, got '{}': {} at position {}", where, expression,
         reinterpret_cast<const char*>(text), offset);
  }
  code_ = std::shared_ptr<const void>(
      code, [](const void* pointer) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(pointer))); });
}

bool ModulePattern::match(std::string_view text, uint32_t options, std::string* group) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  pcre2_match_data* found = pcre2_match_data_create_from_pattern(code, nullptr);
  const int count =
      pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, options, found, nullptr);
  if (count > 1 && group != nullptr) {
    const size_t* ends = pcre2_get_ovector_pointer(found);
    if (ends[2] != PCRE2_UNSET) *group = std::string(text.substr(ends[2], ends[3] - ends[2]));
  }
  pcre2_match_data_free(found);
  return count > 0;
}

bool ModulePattern::matches_whole(std::string_view text) const {
  return match(text, PCRE2_ANCHORED | PCRE2_ENDANCHORED, nullptr);
}

std::optional<std::string> ModulePattern::first_group_at_start(std::string_view text) const {
  std::string group;
  if (!match(text, PCRE2_ANCHORED, &group)) return std::nullopt;
  return group;
}

}  // namespace morex::adapters
