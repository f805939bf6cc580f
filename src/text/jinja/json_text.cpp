// Python's json.dumps.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/value.h"
#include "text/utf8.h"

namespace morex::text::jinja {
namespace {

class Writer {
 public:
  explicit Writer(const JsonStyle& style) : style_(style) {}

  void write(const Value& value, int depth) {
    if (value.is_none()) {
      out += "null";
    } else if (value.is_bool()) {
      out += value.boolean() ? "true" : "false";
    } else if (value.is_integer()) {
      out += integer_text(value.integer());
    } else if (value.is_float()) {
      write_float(value.real());
    } else if (value.is_string()) {
      write_string(value.string());
    } else if (value.is_sequence()) {
      write_all(value.items(), '[', ']', depth, [&](const Value& item) { write(item, depth + 1); });
    } else if (value.is_dict()) {
      auto entries = value.dict().entries;
      if (style_.sort_keys) {
        std::stable_sort(entries.begin(), entries.end(),
                         [](const auto& a, const auto& b) { return compare(a.first, b.first) < 0; });
      }
      write_all(entries, '{', '}', depth, [&](const auto& entry) {
        write_key(entry.first);
        out += style_.key_separator;
        write(entry.second, depth + 1);
      });
    } else {
      throw Problem("TypeError", fmt::format("Object of type {} is not JSON serializable", type_name(value)));
    }
  }

  std::string out;

 private:
  template <typename Items, typename Write>
  void write_all(const Items& items, char open, char close, int depth, Write write_item) {
    out.push_back(open);
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      new_line(depth + 1);
      write_item(items[i]);
    }
    if (!items.empty()) new_line(depth);
    out.push_back(close);
  }

  void new_line(int depth) {
    if (!style_.lines) return;
    out.push_back('\n');
    for (int i = 0; i < depth; ++i) out += style_.indent;
  }

  void write_float(double value) {
    out += std::isnan(value) ? "NaN" : std::isinf(value) ? (value < 0 ? "-Infinity" : "Infinity") : float_text(value);
  }

  void write_key(const Value& key) {
    if (key.is_string()) {
      write_string(key.string());
    } else if (key.is_number() || key.is_none()) {
      Writer plain(style_);
      plain.write(key, 0);
      out += "\"" + plain.out + "\"";
    } else {
      throw Problem("TypeError", fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
    }
  }

  void write_string(std::string_view text) {
    out.push_back('"');
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = decode_code_point(text, at);
      write_character(point.code, text.substr(at, point.length));
      at += point.length;
    }
    out.push_back('"');
  }

  void write_character(char32_t code, std::string_view bytes) {
    switch (code) {
      case '"':
        out += "\\\"";
        return;
      case '\\':
        out += "\\\\";
        return;
      case '\n':
        out += "\\n";
        return;
      case '\r':
        out += "\\r";
        return;
      case '\t':
        out += "\\t";
        return;
      case '\f':
        out += "\\f";
        return;
      case '\b':
        out += "\\b";
        return;
      default:
        break;
    }
    const auto number = static_cast<uint32_t>(code);
    if (number < 0x20 || (style_.ascii && number >= 0x7F && number < 0x10000)) {
      out += number == 0x7F ? std::string(bytes) : fmt::format("\\u{:04x}", number);
    } else if (style_.ascii && number >= 0x10000) {
      out +=
          fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((number - 0x10000) >> 10), 0xDC00 + ((number - 0x10000) & 0x3FF));
    } else {
      out += bytes;
    }
  }

  const JsonStyle& style_;
};

}  // namespace

std::string to_json_text(const Value& value, const JsonStyle& style) {
  Writer writer(style);
  writer.write(value, 0);
  return std::move(writer.out);
}

}  // namespace morex::text::jinja
