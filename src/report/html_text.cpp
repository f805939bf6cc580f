#include "report/html_text.h"

#include <cstdint>

#include "base/error.h"

namespace morex::report {

std::string script_json(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  // These three stand inside JSON strings only.
  for (const char c : text) {
    if (c == '<' || c == '>' || c == '&') {
      out += c == '<' ? "\\u003c" : c == '>' ? "\\u003e" : "\\u0026";
    } else {
      out += c;
    }
  }
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j) bits = bits << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (size_t j = 0; j < 4; ++j) out += j <= count ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

std::string fill_template(std::string_view page, const std::vector<std::pair<std::string, std::string>>& values) {
  std::string out;
  while (true) {
    const size_t begin = page.find("{{");
    if (begin == std::string_view::npos) return out + std::string(page);
    const size_t end = page.find("}}", begin);
    MOREX_CHECK(end != std::string_view::npos, ErrorKind::kRun, "[template] a name must end with }}}}");
    const std::string_view name = page.substr(begin + 2, end - begin - 2);
    const auto found =
        std::find_if(values.begin(), values.end(), [name](const auto& row) { return row.first == name; });
    MOREX_CHECK(found != values.end(), ErrorKind::kRun, "[template] there is no value for '{}'", std::string(name));
    out += page.substr(0, begin);
    out += found->second;
    page.remove_prefix(end + 2);
  }
}

}  // namespace morex::report
