#include "base/table.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace morex {

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

}  // namespace morex
