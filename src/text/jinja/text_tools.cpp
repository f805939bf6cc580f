#include "text/jinja/text_tools.h"

#include <fmt/core.h>
#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "text/unicode.h"
#include "text/utf8.h"

namespace morex::text::jinja {
namespace {

char32_t to_upper(char32_t code) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code)));
}
char32_t to_lower(char32_t code) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}
char32_t to_title(char32_t code) {
  return static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code)));
}

bool is_cased(char32_t code) { return to_upper(code) != code || to_lower(code) != code; }

std::string from_utf32(const std::u32string& text) {
  std::string out;
  for (const char32_t code : text) append_utf8(out, code);
  return out;
}

void append_upper(std::string& out, char32_t code) {
  if (code == 0xDF) {
    out += "SS";
  } else {
    append_utf8(out, to_upper(code));
  }
}

}  // namespace

bool is_python_space(char32_t code) { return is_white_space(code) || (code >= 0x1C && code <= 0x1F); }

std::string python_strip(std::string_view text, const std::string* chars, bool left, bool right) {
  const std::u32string set = chars != nullptr ? to_utf32(*chars) : std::u32string();
  const auto drop = [&](char32_t code) {
    return chars != nullptr ? set.find(code) != std::u32string::npos : is_python_space(code);
  };
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    const CodePoint point = decode_code_point(text, begin);
    if (!drop(point.code)) break;
    begin += point.length;
  }
  while (right && begin < end) {
    size_t last = end - 1;
    while (last > begin && is_continuation(static_cast<unsigned char>(text[last]))) --last;
    if (!drop(decode_code_point(text, last).code)) break;
    end = last;
  }
  return std::string(text.substr(begin, end - begin));
}

std::vector<std::string> split_space(std::string_view text, int64_t limit) {
  std::vector<std::string> out;
  std::string rest = python_strip(text, nullptr, true, false);
  while (!rest.empty()) {
    if (limit >= 0 && static_cast<int64_t>(out.size()) == limit) {
      out.push_back(python_strip(rest, nullptr, false, true));
      break;
    }
    size_t end = 0;
    while (end < rest.size()) {
      const CodePoint point = decode_code_point(rest, end);
      if (is_python_space(point.code)) break;
      end += point.length;
    }
    out.push_back(rest.substr(0, end));
    rest = python_strip(std::string_view(rest).substr(end), nullptr, true, false);
  }
  return out;
}

std::vector<std::string> split_text(std::string_view text, std::string_view separator, int64_t limit, bool from_right) {
  std::vector<std::string> out;
  while (limit < 0 || static_cast<int64_t>(out.size()) < limit) {
    const size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) break;
    if (from_right) {
      out.emplace_back(text.substr(at + separator.size()));
      text = text.substr(0, at);
    } else {
      out.emplace_back(text.substr(0, at));
      text = text.substr(at + separator.size());
    }
  }
  out.emplace_back(text);
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> out;
  std::string line;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_code_point(text, at);
    const char32_t c = point.code;
    const bool breaks = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!breaks) {
      line += text.substr(at, point.length);
    } else {
      out.push_back(std::exchange(line, ""));
      if (c == '\r' && at + 1 < text.size() && text[at + 1] == '\n') ++at;
    }
    at += point.length;
  }
  if (!line.empty()) out.push_back(line);
  return out;
}

std::string replace_text(std::string_view text, std::string_view from, std::string_view to, int64_t limit) {
  std::string out;
  if (from.empty()) {  // between all characters
    for (size_t at = 0; at <= text.size();) {
      if (limit != 0) {
        out += to;
        --limit;
      }
      if (at == text.size()) break;
      const uint32_t length = decode_code_point(text, at).length;
      out += text.substr(at, length);
      at += length;
    }
    return out;
  }
  size_t at = 0;
  for (; limit != 0; --limit) {
    const size_t found = text.find(from, at);
    if (found == std::string_view::npos) break;
    out.append(text.substr(at, found - at)).append(to);
    at = found + from.size();
  }
  return out.append(text.substr(at));
}

std::string upper(std::string_view text) {
  std::string out;
  for (const char32_t code : to_utf32(text)) append_upper(out, code);
  return out;
}

std::string lower(std::string_view text) {
  std::u32string out = to_utf32(text);
  for (char32_t& code : out) code = to_lower(code);
  return from_utf32(out);
}

std::string capitalize(std::string_view text) {
  std::u32string out = to_utf32(lower(text));
  if (!out.empty()) out[0] = to_title(out[0]);
  return from_utf32(out);
}

std::string title(std::string_view text) {
  std::u32string out = to_utf32(text);
  bool inside = false;
  for (char32_t& code : out) {
    const bool cased = is_cased(code);
    code = inside ? to_lower(code) : to_title(code);
    inside = cased;
  }
  return from_utf32(out);
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string url_quote(std::string_view text) {
  constexpr std::string_view kSafe = "_.-~/";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || ((byte | 32) >= 'a' && (byte | 32) <= 'z') ||
                       kSafe.find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

}  // namespace morex::text::jinja
