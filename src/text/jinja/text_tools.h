// Python's way with strings: characters are code points, white space is Unicode's.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace morex::text::jinja {

bool is_python_space(char32_t code);
// str.strip(chars); chars null: white space.
std::string python_strip(std::string_view text, const std::string* chars, bool left, bool right);
// str.split() and str.split(separator, limit); limit < 0: none.
std::vector<std::string> split_space(std::string_view text, int64_t limit);
std::vector<std::string> split_text(std::string_view text, std::string_view separator, int64_t limit, bool from_right);
std::vector<std::string> split_lines(std::string_view text);
std::string replace_text(std::string_view text, std::string_view from, std::string_view to, int64_t limit);
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);        // str.title()
std::string escape_html(std::string_view text);  // quotes as numbers, as the reference engine writes them
std::string url_quote(std::string_view text);

}  // namespace morex::text::jinja
