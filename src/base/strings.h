// Small text helpers.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace morex {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);

// The candidate with the smallest edit distance to `name`, or "" when none is near (more than a third away).
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);
// " Did you mean 'x'?" or "".
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

// For the text and the quoted attributes of HTML and SVG: & < > " ' by their names.
std::string escape_html(std::string_view text);

std::string format_bytes(double bytes);       // "1.3 GiB"
std::string format_duration(double seconds);  // "1h02m", "3m05s", "12.4s"

}  // namespace morex
