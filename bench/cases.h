// What the benchmarks run: methods by name, and a fixed text.
#pragma once
#include <cstdint>
#include <string>

#include "base/json.h"
#include "data/batch.h"

namespace morex::bench {

Json method_of_case(const std::string& name);  // the method part of a recipe; Error(kConfig) for an unknown name

// Every position real and supervised.
data::Batch fixed_batch(int64_t rows, int64_t length, int64_t vocabulary);

}  // namespace morex::bench
