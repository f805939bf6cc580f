#include "ops/arena_allocator.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

namespace morex::ops {
namespace {

// A program of its own: the allocator cannot be taken back.
TEST(ArenaAllocator, LargeTensorsUseTheSameMemoryAgain) {
  const at::Tensor before = at::full({100000}, 3.0f);
  EXPECT_EQ(arena_bytes(), 0u);
  use_arena_allocator();
  const c10::Allocator* allocator = c10::GetCPUAllocator();
  use_arena_allocator();
  EXPECT_EQ(c10::GetCPUAllocator(), allocator);
  EXPECT_EQ(before.sum().item<float>(), 300000.0f);  // older tensors live on

  const void* first = nullptr;
  for (int i = 0; i < 3; ++i) {
    const at::Tensor t = at::full({1 << 20}, static_cast<float>(i));
    if (i == 0) first = t.const_data_ptr();
    EXPECT_EQ(t.const_data_ptr(), first);
    EXPECT_EQ(t.select(0, 12345).item<float>(), static_cast<float>(i));
  }
  EXPECT_GE(arena_bytes(), size_t{4} << 20);
  EXPECT_LT(arena_bytes(), size_t{8} << 20);
}

TEST(ArenaAllocator, SmallAndEmptyTensorsWork) {
  use_arena_allocator();
  EXPECT_EQ(at::empty({0}).numel(), 0);
  EXPECT_EQ(at::full({7}, 2.0f).sum().item<float>(), 14.0f);
  at::Tensor grown = at::full({3}, 1.0f);
  grown.resize_({1 << 20});  // from a small block to a large one
  EXPECT_EQ(grown.narrow(0, 0, 3).sum().item<float>(), 3.0f);
}

TEST(ArenaAllocator, RawBlocksOfBothSizesGoBack) {
  use_arena_allocator();
  c10::Allocator* allocator = c10::GetCPUAllocator();
  for (const size_t bytes : {size_t{100}, size_t{1} << 20}) {
    void* block = allocator->raw_allocate(bytes);
    ASSERT_NE(block, nullptr);
    allocator->raw_deallocate(block);
  }
}

TEST(ArenaAllocator, MoreThanTheMachineHasIsOutOfMemory) {
  use_arena_allocator();
  EXPECT_THROW(at::empty({int64_t{1} << 44}), c10::OutOfMemoryError);
}

}  // namespace
}  // namespace morex::ops
