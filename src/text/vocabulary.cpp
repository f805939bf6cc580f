#include "text/vocabulary.h"

#include <bit>
#include <utility>

#include "text/hash.h"

namespace morex::text {

void Vocabulary::reserve(size_t count, size_t bytes) {
  bytes_.reserve(bytes);
  begin_.reserve(count);
  length_.reserve(count);
  grow(std::bit_ceil(2 * count + 2));
}

void Vocabulary::grow(size_t slots) {
  if (slots <= slots_.size()) return;
  slots_.assign(slots, Slot{});
  for (int32_t id = 0; id < size(); ++id) {
    if (!has(id)) continue;
    const uint64_t hash = hash_bytes(token(id));
    Slot& slot = slot_for(token(id), hash);
    if (slot.id == kAbsent) slot = {static_cast<uint32_t>(hash >> 32), id};
  }
}

Vocabulary::Slot& Vocabulary::slot_for(std::string_view token_text, uint64_t hash) {
  const size_t mask = slots_.size() - 1;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    Slot& slot = slots_[at];
    if (slot.id == kAbsent || (slot.tag == tag && token(slot.id) == token_text)) return slot;
  }
}

bool Vocabulary::add(std::string_view token_text, int32_t id) {
  if (has(id)) return false;
  if (2 * (count_ + 1) > slots_.size()) grow(std::bit_ceil(4 * (count_ + 2)));
  const uint64_t hash = hash_bytes(token_text);
  Slot& slot = slot_for(token_text, hash);
  if (static_cast<size_t>(id) >= length_.size()) {
    begin_.resize(static_cast<size_t>(id) + 1, 0);
    length_.resize(static_cast<size_t>(id) + 1, kHole);
  }
  begin_[id] = static_cast<uint32_t>(bytes_.size());
  length_[id] = static_cast<uint32_t>(token_text.size());
  bytes_.append(token_text);
  ++count_;
  if (slot.id != kAbsent) return unique_ = false;
  slot = {static_cast<uint32_t>(hash >> 32), id};
  return true;
}

int32_t Vocabulary::find(std::string_view token_text) const {
  if (slots_.empty()) return kAbsent;
  const uint64_t hash = hash_bytes(token_text);
  const size_t mask = slots_.size() - 1;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.id == kAbsent) return kAbsent;
    if (slot.tag == tag && token(slot.id) == token_text) return slot.id;
  }
}

}  // namespace morex::text
