// Which two neighbouring tokens become one, and how early: a flat table over pairs of ids.
#pragma once
#include <bit>
#include <cstdint>
#include <vector>

#include "text/hash.h"

namespace morex::text {

struct Merge {
  int32_t rank = INT32_MAX;  // lower merges first; INT32_MAX: never
  int32_t id = -1;           // what the two become
};

class MergeTable {
 public:
  explicit MergeTable(size_t count = 0) : slots_(std::bit_ceil(2 * count + 2)) {}

  // The first entry of a pair stays when `keep_first`; else the last one does.
  void add(int32_t left, int32_t right, Merge merge, bool keep_first) {
    if (2 * (count_ + 1) > slots_.size()) {
      std::vector<Slot> old(2 * slots_.size());
      old.swap(slots_);
      for (const Slot& slot : old) {
        if (slot.key != kEmpty) slots_[place(slot.key)] = slot;
      }
    }
    Slot& slot = slots_[place(key(left, right))];
    if (slot.key == kEmpty) {
      ++count_;
    } else if (keep_first) {
      return;
    }
    slot = {key(left, right), merge};
  }

  Merge find(int32_t left, int32_t right) const {
    const Slot& slot = slots_[place(key(left, right))];
    return slot.merge;
  }

  struct Entry {
    int32_t left, right;
    Merge merge;
  };
  std::vector<Entry> entries() const {  // in no particular order
    std::vector<Entry> out;
    for (const Slot& slot : slots_) {
      if (slot.key == kEmpty) continue;
      out.push_back({static_cast<int32_t>(slot.key >> 32), static_cast<int32_t>(slot.key & UINT32_MAX), slot.merge});
    }
    return out;
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };
  static uint64_t key(int32_t left, int32_t right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
  }
  size_t place(uint64_t wanted) const {
    const size_t mask = slots_.size() - 1;
    size_t at = mix(wanted + 0x9E3779B97F4A7C15ULL, 0xD6E8FEB86659FD93ULL) & mask;
    while (slots_[at].key != wanted && slots_[at].key != kEmpty) at = (at + 1) & mask;
    return at;
  }
  std::vector<Slot> slots_;
  size_t count_ = 0;
};

}  // namespace morex::text
