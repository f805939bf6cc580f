#include "base/block_arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace morex {
namespace {

constexpr size_t kBlock = size_t{1} << 20;

TEST(BlockArena, BlocksAreAlignedApartAndWritable) {
  BlockArena arena(16 * kBlock);
  std::vector<char*> blocks;
  for (const size_t bytes : {size_t{1}, size_t{63}, size_t{64}, kBlock}) {
    auto* block = static_cast<char*>(arena.take(bytes));
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
    EXPECT_TRUE(arena.owns(block));
    std::memset(block, static_cast<int>(blocks.size() + 1), bytes);
    blocks.push_back(block);
  }
  for (size_t i = 0; i < blocks.size(); ++i) EXPECT_EQ(blocks[i][0], static_cast<char>(i + 1));
  int elsewhere = 0;
  EXPECT_FALSE(arena.owns(&elsewhere));
  for (char* block : blocks) arena.give(block);
  EXPECT_EQ(arena.extent(), 0u);
}

TEST(BlockArena, ARepeatedStepNeedsNoMoreRoom) {
  BlockArena arena(64 * kBlock);
  size_t after_first = 0;
  for (int step = 0; step < 5; ++step) {
    std::vector<void*> saved;
    for (size_t layer = 1; layer <= 6; ++layer) {
      void* passing = arena.take(3 * kBlock / layer);
      saved.push_back(arena.take(kBlock + 1000 * layer));
      arena.give(passing);
    }
    while (!saved.empty()) {
      void* passing = arena.take(kBlock / 2);
      arena.give(saved.back());
      arena.give(passing);
      saved.pop_back();
    }
    EXPECT_EQ(arena.extent(), 0u);
    if (step == 0) after_first = arena.peak_extent();
  }
  EXPECT_EQ(arena.peak_extent(), after_first);
}

TEST(BlockArena, FreeNeighboursBecomeOneInAnyOrder) {
  for (const std::vector<size_t>& order :
       {std::vector<size_t>{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {2, 0, 1}, {1, 0, 2}, {1, 2, 0}}) {
    BlockArena arena(16 * kBlock);
    std::vector<void*> blocks;
    for (int i = 0; i < 4; ++i) blocks.push_back(arena.take(kBlock));
    const size_t extent = arena.extent();
    for (const size_t i : order) arena.give(blocks[i]);
    void* large = arena.take(3 * kBlock);  // fits only where the three were
    EXPECT_EQ(large, blocks[0]);
    EXPECT_EQ(arena.extent(), extent);
    arena.give(large);
    arena.give(blocks[3]);
    EXPECT_EQ(arena.extent(), 0u);
  }
}

TEST(BlockArena, TakesTheSmallestFreeBlockThatFits) {
  BlockArena arena(32 * kBlock);
  void* large = arena.take(4 * kBlock);
  void* wall = arena.take(64);
  void* small = arena.take(2 * kBlock);
  void* end = arena.take(64);
  arena.give(large);
  arena.give(small);
  EXPECT_EQ(arena.take(2 * kBlock - 1000), small);
  EXPECT_EQ(arena.take(3 * kBlock), large);
  arena.give(wall);
  arena.give(end);
}

TEST(BlockArena, SaysWhenThereIsNoRoom) {
  BlockArena arena(4 * kBlock);
  EXPECT_EQ(arena.take(5 * kBlock), nullptr);
  EXPECT_EQ(arena.take(SIZE_MAX), nullptr);
  void* most = arena.take(3 * kBlock);
  ASSERT_NE(most, nullptr);
  EXPECT_EQ(arena.take(2 * kBlock), nullptr);
  arena.give(most);
  EXPECT_NE(arena.take(3 * kBlock), nullptr);
}

TEST(BlockArena, RefusedAddressesLeaveItWithoutRoom) {
  BlockArena arena(SIZE_MAX / 4);
  EXPECT_EQ(arena.take(kBlock), nullptr);
}

TEST(BlockArena, ThreadsDoNotShareBlocks) {
  BlockArena arena(256 * kBlock);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (size_t round = 0; round < 500; ++round) {
        const size_t bytes = 1000 + 977 * ((round + t) % 13);
        auto* block = static_cast<unsigned char*>(arena.take(bytes));
        std::memset(block, static_cast<int>(t), bytes);
        std::this_thread::yield();
        for (size_t i = 0; i < bytes; ++i) wrong[t] += block[i] != t;
        arena.give(block);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
  EXPECT_EQ(arena.extent(), 0u);
}

}  // namespace
}  // namespace morex
