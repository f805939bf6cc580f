// Options with one value per level.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace morex::adapters {

// The key's value for each of `levels` levels: a list of that length, a list of one, or a single number for all. A
// missing key gives `fallback`. Every value is at least `least`. Throws Error(kConfig).
std::vector<int64_t> level_integers(const JsonReader& options, const std::string& key, int64_t levels, int64_t fallback,
                                    int64_t least);
// The same for numbers; missing or null gives an empty list.
std::vector<double> level_numbers(const JsonReader& options, const std::string& key, int64_t levels);

}  // namespace morex::adapters
