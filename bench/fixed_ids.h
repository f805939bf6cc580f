// The text that every case reads: ids without meaning, the same in both engines.
#pragma once
#include <cstdint>
#include <vector>

namespace morex::bench {

// Those of fixed_ids() in bench/peer_model.py.
inline std::vector<int64_t> fixed_ids(int64_t count, int64_t vocabulary) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back((37 * i % 8191 * (i % 8191) + 101 * i + 11) % vocabulary);
  return ids;
}

}  // namespace morex::bench
