// Where tensors on the CPU get their memory.
#pragma once
#include <cstddef>

namespace morex::ops {

// From now on tensors of 64 KiB and more get their memory from one BlockArena as large as the machine's memory, smaller
// ones as before. For a program's start; library users opt in. Calling it again changes nothing. Where the system
// grants no such range, LibTorch's own allocator stays. Out of memory throws c10::OutOfMemoryError. LibTorch's memory
// profiling sees the blocks as it sees its own.
void use_arena_allocator();

// Bytes of memory that the arena has taken from the system so far, at most; 0 where it is not in use.
size_t arena_bytes();

}  // namespace morex::ops
