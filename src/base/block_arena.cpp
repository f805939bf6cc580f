#include "base/block_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "base/error.h"

namespace morex {

// In front of what the caller gets, so that blocks stay aligned.
struct alignas(64) BlockArena::Header {
  size_t size;  // of the block, this header included
};

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLargePage = size_t{2} << 20;

size_t rounded_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

BlockArena::BlockArena(size_t capacity) {
  const size_t bytes = rounded_up(std::max<size_t>(capacity, 1), kLargePage);
  void* range = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return;
  madvise(range, bytes, MADV_HUGEPAGE);  // a wish: kernels without large pages refuse it
  base_ = static_cast<std::byte*>(range);
  capacity_ = bytes;
}

BlockArena::~BlockArena() {
  if (base_ != nullptr) munmap(base_, capacity_);
}

void* BlockArena::take(size_t bytes) {
  if (bytes > capacity_) return nullptr;  // also keeps the sum below from overflowing
  const size_t size = rounded_up(bytes + sizeof(Header), kAlignment);
  const std::lock_guard lock(mutex_);
  size_t offset = end_;
  const auto fitting = free_by_size_.lower_bound({size, 0});
  if (fitting != free_by_size_.end()) {
    const auto [found, at] = *fitting;
    offset = at;
    erase_free(free_.find(at));
    if (found > size) {
      free_.emplace(at + size, found - size);
      free_by_size_.emplace(found - size, at + size);
    }
  } else {
    if (size > capacity_ - end_) return nullptr;
    end_ += size;
    peak_ = std::max(peak_, end_);
  }
  auto* header = new (base_ + offset) Header{size};
  return header + 1;
}

void BlockArena::give(void* block) {
  MOREX_ASSERT(owns(block));
  const Header* header = static_cast<Header*>(block) - 1;
  size_t offset = static_cast<size_t>(reinterpret_cast<const std::byte*>(header) - base_), size = header->size;
  const std::lock_guard lock(mutex_);
  auto after = free_.lower_bound(offset);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == offset) {
      offset = before->first;
      size += before->second;
      erase_free(before);
    }
  }
  if (after != free_.end() && offset + size == after->first) {
    size += after->second;
    erase_free(after);
  }
  if (offset + size == end_) {
    end_ = offset;
  } else {
    free_.emplace(offset, size);
    free_by_size_.emplace(size, offset);
  }
}

void BlockArena::erase_free(std::map<size_t, size_t>::iterator block) {
  free_by_size_.erase({block->second, block->first});
  free_.erase(block);
}

size_t BlockArena::extent() const {
  const std::lock_guard lock(mutex_);
  return end_;
}

size_t BlockArena::peak_extent() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

}  // namespace morex
