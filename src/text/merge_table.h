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
  struct Entry {
    int32_t left, right;
    Merge merge;
  };

  // The first entry of a pair stays when `keep_first`; else the last one does.
  void add(int32_t left, int32_t right, Merge merge, bool keep_first) {
    reserve(count_ + 1);
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

  // add() of all of them. The table is too large for a cache: places are asked for some entries ahead.
  void add_all(const std::vector<Entry>& entries, bool keep_first) {
    constexpr size_t kAhead = 16;
    reserve(count_ + entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i + kAhead < entries.size()) {
        const Entry& later = entries[i + kAhead];
        __builtin_prefetch(&slots_[start(key(later.left, later.right))]);
      }
      add(entries[i].left, entries[i].right, entries[i].merge, keep_first);
    }
  }

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
  void reserve(size_t count) {
    if (2 * count <= slots_.size()) return;
    std::vector<Slot> old(std::bit_ceil(2 * count + 2));
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.key != kEmpty) slots_[place(slot.key)] = slot;
    }
  }
  size_t start(uint64_t wanted) const {
    return mix(wanted + 0x9E3779B97F4A7C15ULL, 0xD6E8FEB86659FD93ULL) & (slots_.size() - 1);
  }
  size_t place(uint64_t wanted) const {
    const size_t mask = slots_.size() - 1;
    size_t at = start(wanted);
    while (slots_[at].key != wanted && slots_[at].key != kEmpty) at = (at + 1) & mask;
    return at;
  }
  std::vector<Slot> slots_ = std::vector<Slot>(2);
  size_t count_ = 0;
};

}  // namespace morex::text
