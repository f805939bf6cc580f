// Large blocks of memory out of one range of addresses, kept and used again. A training step asks for the same large
// blocks over and over: taking them from one place keeps small long-lived blocks from splitting the room between them,
// and lets the system back it with large pages.
#pragma once
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace morex {

class BlockArena {
 public:
  // Reserves `capacity` bytes of addresses; memory is used where blocks are written, and not returned. Where the
  // system refuses so many addresses (a limit on them), the arena has no room.
  explicit BlockArena(size_t capacity);
  ~BlockArena();
  BlockArena(const BlockArena&) = delete;
  BlockArena& operator=(const BlockArena&) = delete;

  // At least `bytes` bytes aligned to 64, the smallest free block that holds them; null when there is no room.
  // Safe from any thread, as is give().
  void* take(size_t bytes);
  // Returns a block of take(); neighbours that are free become one.
  void give(void* block);

  bool owns(const void* block) const { return block >= base_ && block < base_ + capacity_; }
  // Bytes from the start of the range to the end of the last block, now and at most so far.
  size_t extent() const;
  size_t peak_extent() const;

 private:
  struct Header;
  void erase_free(std::map<size_t, size_t>::iterator block);

  std::byte* base_ = nullptr;
  size_t capacity_ = 0;
  mutable std::mutex mutex_;
  size_t end_ = 0, peak_ = 0;                         // beyond end_ nothing is taken
  std::map<size_t, size_t> free_;                     // offset -> size, none touches another or end_
  std::set<std::pair<size_t, size_t>> free_by_size_;  // size, offset
};

}  // namespace morex
