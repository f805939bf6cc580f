// Tokens by id and ids by token, in two flat tables.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace morex::text {

class Vocabulary {
 public:
  static constexpr int32_t kAbsent = -1;

  // Room for `count` tokens; more may be added.
  void reserve(size_t count, size_t bytes);
  // False when the id is taken (nothing changes), or when another id has the token (find() keeps naming that one).
  bool add(std::string_view token, int32_t id);

  int32_t find(std::string_view token) const;  // kAbsent when there is none
  bool has(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < length_.size() && length_[id] != kHole; }
  std::string_view token(int32_t id) const {  // "" when there is none
    return has(id) ? std::string_view(bytes_).substr(begin_[id], length_[id]) : std::string_view();
  }
  int32_t size() const { return static_cast<int32_t>(length_.size()); }  // highest id + 1
  size_t count() const { return count_; }
  bool unique() const { return unique_; }  // whether no token has two ids

 private:
  static constexpr uint32_t kHole = UINT32_MAX;
  struct Slot {
    uint32_t tag = 0;
    int32_t id = kAbsent;
  };
  void grow(size_t slots);
  Slot& slot_for(std::string_view token, uint64_t hash);

  std::string bytes_;
  std::vector<uint32_t> begin_, length_;
  std::vector<Slot> slots_;
  size_t count_ = 0;
  bool unique_ = true;
};

}  // namespace morex::text
