#include "cli/output.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace morex::cli {

std::string aligned_pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  size_t width = 0;
  for (const auto& [name, value] : pairs) width = std::max(width, name.size());
  std::string out;
  for (const auto& [name, value] : pairs) out += fmt::format("{:<{}}  {}\n", name + ":", width + 1, value);
  return out;
}

std::string with_thousands(int64_t number) {
  std::string digits = fmt::format("{}", number);
  const size_t first = number < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

std::string in_millions(int64_t number) {
  const double value = static_cast<double>(number);
  return number >= 1'000'000'000 ? fmt::format("{:.3f} B", value / 1e9) : fmt::format("{:.3f} M", value / 1e6);
}

void print_json(const OrderedJson& value) {
  fmt::print("{}\n", value.dump(2, ' ', false, OrderedJson::error_handler_t::replace));
}

bool stdout_is_terminal() { return isatty(fileno(stdout)) == 1; }

}  // namespace morex::cli
