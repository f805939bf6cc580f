// Text for HTML pages.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"

namespace morex::report {

// For a <script type="application/json"> element: no '<', '>' or '&' stands in it, and invalid UTF-8 is replaced.
std::string script_json(const Json& value);

std::string base64(std::string_view bytes);

// Each "{{NAME}}" of the template replaced, in one pass: what is put in is not looked at again. Throws Error(kRun) for
// a name without a value.
std::string fill_template(std::string_view page, const std::vector<std::pair<std::string, std::string>>& values);

}  // namespace morex::report
