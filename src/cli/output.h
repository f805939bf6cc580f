// Tables and JSON on standard output.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"

namespace morex::cli {

// Columns as wide as their widest cell; cells that begin with a digit, '-' or '+' stand right.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  void add(std::vector<std::string> row);  // as many cells as the header
  std::string text() const;                // with a final line break

 private:
  std::vector<std::vector<std::string>> rows_;
};

// "name: value" lines, values in one column.
std::string aligned_pairs(const std::vector<std::pair<std::string, std::string>>& pairs);

std::string with_thousands(int64_t number);  // 134,515,008
std::string in_millions(int64_t number);     // "134.515 M", "8.030 B"

void print_json(const OrderedJson& value);  // indented, invalid UTF-8 replaced

bool stdout_is_terminal();

}  // namespace morex::cli
