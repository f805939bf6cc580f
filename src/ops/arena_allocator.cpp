#include "ops/arena_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include "base/block_arena.h"
#include "base/system.h"

namespace morex::ops {
namespace {

// Smaller blocks are many and short, and the C library is quick with them.
constexpr size_t kMinimalBytes = size_t{64} << 10;

BlockArena& arena() {
  // Never destroyed: tensors with static lifetime give their blocks back after main.
  static BlockArena& made = *new BlockArena(static_cast<size_t>(total_memory_bytes()));
  return made;
}

// One deleter for blocks of both sizes: LibTorch asks for it without saying whose.
void release(void* block) {
  if (!arena().owns(block)) return c10::GetDefaultCPUAllocator()->raw_deallocate(block);
  c10::profiledCPUMemoryReporter().Delete(block);
  arena().give(block);
}

class ArenaAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* block = nullptr;
    if (bytes < kMinimalBytes) {
      block = c10::GetDefaultCPUAllocator()->raw_allocate(bytes);
    } else {
      block = arena().take(bytes);
      TORCH_CHECK_WITH(OutOfMemoryError, block != nullptr, "not enough memory: a tensor wants ", bytes, " bytes");
      c10::profiledCPUMemoryReporter().New(block, bytes);
    }
    return {block, block, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};

c10::Allocator& arena_allocator() {
  static ArenaAllocator allocator;
  return allocator;
}

}  // namespace

void use_arena_allocator() {
  if (c10::GetCPUAllocator() == &arena_allocator()) return;
  if (void* probe = arena().take(kMinimalBytes)) {
    arena().give(probe);
    c10::SetCPUAllocator(&arena_allocator(), /*priority=*/1);
  }
}

size_t arena_bytes() { return c10::GetCPUAllocator() == &arena_allocator() ? arena().peak_extent() : 0; }

}  // namespace morex::ops
