// How much memory a piece of work needs at once.
#pragma once
#include <cstdint>
#include <functional>

namespace morex::train {

// The highest total of tensor memory that `body` has allocated on the CPU by this thread and not yet freed. 0 on
// another device.
int64_t peak_allocation(const std::function<void()>& body);

}  // namespace morex::train
