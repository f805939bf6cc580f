// A table of texts.
#pragma once
#include <string>
#include <vector>

namespace morex {

// Columns as wide as their widest cell; cells that begin with a digit, '-' or '+' stand right.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  void add(std::vector<std::string> row);  // as many cells as the header
  std::string text() const;                // with a final line break

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace morex
