// Texts and JSON for standard output.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/table.h"

namespace morex::cli {

// "name: value" lines, values in one column.
std::string aligned_pairs(const std::vector<std::pair<std::string, std::string>>& pairs);

std::string with_thousands(int64_t number);  // 134,515,008
std::string in_millions(int64_t number);     // "134.515 M", "8.030 B"

void print_json(const OrderedJson& value);  // indented, invalid UTF-8 replaced

bool stdout_is_terminal();

}  // namespace morex::cli
