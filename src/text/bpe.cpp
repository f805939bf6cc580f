#include "text/bpe.h"

#include <fmt/compile.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace morex::text {
namespace {

// Above this many symbols a heap finds the next merge, below it a scan is faster.
constexpr size_t kShortWord = 48;

// Remembers what frequent words became. One slot per hash value: a newcomer replaces what was there.
class WordCache {
 public:
  WordCache() : slots_(kSlots) {}

  struct Slot {
    uint8_t key_size = 0;
    uint8_t id_count = 0;
    char key[26];
    int32_t ids[9];
  };
  static_assert(sizeof(Slot) == 64);

  Slot& slot(uint64_t hash) { return slots_[hash & (kSlots - 1)]; }
  static bool fits(std::string_view word) { return !word.empty() && word.size() <= sizeof(Slot::key); }
  static bool holds(const Slot& slot, std::string_view word) {
    return slot.key_size == word.size() && std::memcmp(slot.key, word.data(), word.size()) == 0;
  }
  static void store(Slot& slot, std::string_view word, const int64_t* ids, size_t count) {
    if (count > std::size(slot.ids)) return;
    slot.key_size = static_cast<uint8_t>(word.size());
    slot.id_count = static_cast<uint8_t>(count);
    std::memcpy(slot.key, word.data(), word.size());
    for (size_t i = 0; i < count; ++i) slot.ids[i] = static_cast<int32_t>(ids[i]);
  }

 private:
  static constexpr size_t kSlots = 1 << 15;  // 2 MiB
  std::vector<Slot> slots_;
};

struct Candidate {
  int32_t rank;
  int32_t position;
  int32_t id;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

struct Bpe::Scratch : ModelScratch {
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
  WordCache cache;
};

Bpe::Bpe(const Vocabulary& vocabulary, MergeTable merges, const BpeOptions& options)
    : vocabulary_(vocabulary), merges_(std::move(merges)), options_(options) {
  for (int byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<char>(byte);
    byte_id_[byte] =
        vocabulary.find(options.byte_level ? bytes_to_letters({&value, 1}) : fmt::format("<0x{:02X}>", byte));
  }
  if (options.byte_level && options.ignore_merges) {
    words_.reserve(vocabulary.count(), 8 * vocabulary.count());
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      if (!vocabulary.has(id)) continue;
      if (const auto bytes = letters_to_bytes(vocabulary.token(id))) words_.add(*bytes, id);
    }
  }
}

std::unique_ptr<ModelScratch> Bpe::make_scratch() const { return std::make_unique<Scratch>(); }

void Bpe::encode(std::string_view word, ModelScratch& scratch, std::vector<int64_t>& ids,
                 std::vector<ByteRange>* ranges) const {
  if (word.empty()) return;
  auto& own = static_cast<Scratch&>(scratch);
  const bool cached = ranges == nullptr && WordCache::fits(word);
  WordCache::Slot* slot = nullptr;
  if (cached) {
    slot = &own.cache.slot(hash_bytes(word));
    if (WordCache::holds(*slot, word)) {
      ids.insert(ids.end(), slot->ids, slot->ids + slot->id_count);
      return;
    }
  }
  const size_t first = ids.size();
  const int32_t whole =
      options_.ignore_merges ? (options_.byte_level ? words_ : vocabulary_).find(word) : Vocabulary::kAbsent;
  if (whole != Vocabulary::kAbsent) {
    ids.push_back(whole);
    if (ranges != nullptr) ranges->push_back({0, static_cast<uint32_t>(word.size())});
  } else {
    std::vector<Symbol>& symbols = own.symbols;
    symbols.clear();
    if (options_.byte_level) {
      split_bytes(word, symbols);
    } else {
      split_characters(word, symbols);
    }
    const auto count = static_cast<int32_t>(symbols.size());
    for (int32_t i = 0; i < count; ++i) {
      symbols[i].previous = i - 1;
      symbols[i].next = i + 1 < count ? i + 1 : -1;
      if (i + 1 < count) symbols[i].merge = merges_.find(symbols[i].id, symbols[i + 1].id);
    }
    if (symbols.size() <= kShortWord) {
      merge_short(symbols);
    } else {
      merge_long(own);
    }
    for (int32_t i = count > 0 ? 0 : -1; i >= 0; i = symbols[i].next) {
      ids.push_back(symbols[i].id);
      if (ranges != nullptr) ranges->push_back({symbols[i].begin, symbols[i].end});
    }
  }
  if (slot != nullptr) WordCache::store(*slot, word, ids.data() + first, ids.size() - first);
}

std::string Bpe::rules() const {
  std::vector<MergeTable::Entry> merges = merges_.entries();
  std::sort(merges.begin(), merges.end(), [](const auto& a, const auto& b) {
    return std::tie(a.merge.rank, a.left, a.right) < std::tie(b.merge.rank, b.left, b.right);
  });
  std::string out = fmt::format("bpe {:d}{:d}{:d}{:d} {}", options_.byte_level, options_.ignore_merges,
                                options_.byte_fallback, options_.fuse_unk, options_.unk.value_or(-1));
  for (const MergeTable::Entry& entry : merges) {
    out += fmt::format(FMT_COMPILE("\n{} {} {}"), entry.merge.rank, entry.left, entry.right);
  }
  return out;
}

void Bpe::split_bytes(std::string_view word, std::vector<Symbol>& symbols) const {
  for (uint32_t at = 0; at < word.size(); ++at) {
    int32_t id = byte_id_[static_cast<uint8_t>(word[at])];
    if (id == Vocabulary::kAbsent) {
      if (!options_.unk) continue;
      id = *options_.unk;
      if (options_.fuse_unk && !symbols.empty() && symbols.back().id == id && symbols.back().end == at) {
        symbols.back().end = at + 1;
        continue;
      }
    }
    symbols.push_back({id, at, at + 1, -1, -1, {}});
  }
}

// As in the reference implementation, an unknown character is put down only when the next known one comes: tokens of
// single bytes overtake it. Positions count what was put down, in that order.
void Bpe::split_characters(std::string_view word, std::vector<Symbol>& symbols) const {
  uint32_t position = 0;
  const auto put = [&](int32_t id, uint32_t length) {
    symbols.push_back({id, position, position + length, -1, -1, {}});
    position += length;
  };
  uint32_t unknown_length = 0;
  for (size_t at = 0; at < word.size();) {
    const uint32_t length = utf8_length(static_cast<unsigned char>(word[at]));
    const std::string_view character = word.substr(at, length);
    at += length;
    const int32_t id = vocabulary_.find(character);
    if (id != Vocabulary::kAbsent) {
      if (unknown_length > 0) put(*options_.unk, unknown_length);
      unknown_length = 0;
      put(id, length);
      continue;
    }
    const auto has_token = [&](char byte) { return byte_id_[static_cast<uint8_t>(byte)] != Vocabulary::kAbsent; };
    if (options_.byte_fallback && std::all_of(character.begin(), character.end(), has_token)) {
      for (const char byte : character) put(byte_id_[static_cast<uint8_t>(byte)], 1);
    } else if (!options_.unk) {
      position += length;
    } else {
      if (unknown_length > 0 && !options_.fuse_unk) {
        put(*options_.unk, unknown_length);
        unknown_length = 0;
      }
      unknown_length += length;
    }
  }
  if (unknown_length > 0) put(*options_.unk, unknown_length);
}

void Bpe::merge_short(std::vector<Symbol>& symbols) const {
  // A short word's symbols stand side by side: erasing moves few of them.
  size_t count = symbols.size();
  while (count > 1) {
    size_t best = 0;
    int32_t best_rank = INT32_MAX;
    for (size_t i = 0; i + 1 < count; ++i) {
      if (symbols[i].merge.rank < best_rank) {
        best_rank = symbols[i].merge.rank;
        best = i;
      }
    }
    if (best_rank == INT32_MAX) break;
    symbols[best].id = symbols[best].merge.id;
    symbols[best].end = symbols[best + 1].end;
    std::copy(symbols.begin() + static_cast<ptrdiff_t>(best) + 2, symbols.begin() + static_cast<ptrdiff_t>(count),
              symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
    --count;
    if (best > 0) symbols[best - 1].merge = merges_.find(symbols[best - 1].id, symbols[best].id);
    symbols[best].merge = best + 1 < count ? merges_.find(symbols[best].id, symbols[best + 1].id) : Merge{};
  }
  symbols.resize(count);
  for (size_t i = 0; i < count; ++i) symbols[i].next = i + 1 < count ? static_cast<int32_t>(i + 1) : -1;
}

void Bpe::merge_long(Scratch& scratch) const {
  std::vector<Symbol>& symbols = scratch.symbols;
  std::vector<Candidate>& heap = scratch.heap;
  heap.clear();
  const auto later = [](const Candidate& a, const Candidate& b) { return a > b; };
  for (size_t i = 0; i + 1 < symbols.size(); ++i) {
    const Merge& merge = symbols[i].merge;
    if (merge.rank != INT32_MAX) heap.push_back({merge.rank, static_cast<int32_t>(i), merge.id});
  }
  std::make_heap(heap.begin(), heap.end(), later);
  const auto renew = [&](int32_t at) {
    Symbol& symbol = symbols[at];
    symbol.merge = symbol.next >= 0 ? merges_.find(symbol.id, symbols[symbol.next].id) : Merge{};
    if (symbol.merge.rank == INT32_MAX) return;
    heap.push_back({symbol.merge.rank, at, symbol.merge.id});
    std::push_heap(heap.begin(), heap.end(), later);
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Candidate top = heap.back();
    heap.pop_back();
    Symbol& left = symbols[top.position];
    // Stale: the symbol was swallowed, or has another merge by now.
    if (left.id < 0 || left.merge.id != top.id || left.merge.rank != top.rank) continue;
    Symbol& right = symbols[left.next];
    left.id = top.id;
    left.end = right.end;
    left.next = right.next;
    right.id = -1;
    if (right.next >= 0) symbols[right.next].previous = top.position;
    renew(top.position);
    if (left.previous >= 0) renew(left.previous);
  }
}

}  // namespace morex::text
