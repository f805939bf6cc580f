#include "cli/output.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"

namespace morex::cli {

Table::Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

void Table::add(std::vector<std::string> row) {
  MOREX_ASSERT(row.size() == rows_.front().size());
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows_[r].size(); ++i) {
      // The header follows the alignment of what stands below it.
      const std::string& example = r == 0 && rows_.size() > 1 ? rows_[1][i] : rows_[r][i];
      const bool numeric = !example.empty() && std::string_view("0123456789-+").find(example[0]) != std::string::npos;
      line += numeric ? fmt::format("{:>{}}", rows_[r][i], widths[i]) : fmt::format("{:<{}}", rows_[r][i], widths[i]);
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

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
