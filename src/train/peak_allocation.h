// How much memory a piece of work needs at once.
#pragma once
#include <cstdint>
#include <functional>

namespace morex::train {

struct Allocation {
  int64_t peak_bytes = 0;  // the highest total that was allocated and not yet freed
  int64_t calls = 0;       // blocks allocated
};

// What `body` allocates as tensor memory on the CPU by this thread. Nothing on another device.
Allocation watch_allocation(const std::function<void()>& body);
inline int64_t peak_allocation(const std::function<void()>& body) { return watch_allocation(body).peak_bytes; }

}  // namespace morex::train
