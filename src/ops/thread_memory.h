// Work memory of a parallel loop. It comes from where tensors get theirs: the heap would be left in pieces between what
// stays. Every thread's part begins at a cache line, so that no wide load lies across two.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace morex::ops {

// Numbers of one type, or of two.
template <typename A, typename B = std::byte>
class ThreadMemory {
 public:
  // For a loop of `tasks`: room for so many of each thread that takes part, not set to anything.
  explicit ThreadMemory(int64_t tasks, int64_t as, int64_t bs = 0)
      : second_(in_lines(as * static_cast<int64_t>(sizeof(A)))),
        stride_(second_ + in_lines(bs * static_cast<int64_t>(sizeof(B)))),
        memory_(at::empty({std::min<int64_t>(at::get_num_threads(), tasks) * stride_}, at::TensorOptions(at::kByte))) {}

  // The parts of the thread that asks, inside of the loop.
  A* first() const { return reinterpret_cast<A*>(own()); }
  B* second() const { return reinterpret_cast<B*>(own() + second_); }

 private:
  static int64_t in_lines(int64_t bytes) {
    constexpr int64_t kLine = 64;
    return (bytes + kLine - 1) / kLine * kLine;
  }
  char* own() const { return static_cast<char*>(memory_.mutable_data_ptr()) + at::get_thread_num() * stride_; }

  int64_t second_, stride_;  // bytes
  at::Tensor memory_;
};

}  // namespace morex::ops
