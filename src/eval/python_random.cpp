#include "eval/python_random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.h"

namespace morex::eval {

void PythonRandom::seed_word(uint32_t seed) {
  state_[0] = seed;
  for (int i = 1; i < kWords; ++i) {
    const uint32_t previous = state_[i - 1];
    state_[i] = 1812433253u * (previous ^ (previous >> 30)) + static_cast<uint32_t>(i);
  }
}

// Seeding by an array of 32-bit words: the seed's, low word first.
PythonRandom::PythonRandom(uint64_t seed) {
  std::vector<uint32_t> key = {static_cast<uint32_t>(seed)};
  if (seed >> 32 != 0) key.push_back(static_cast<uint32_t>(seed >> 32));
  const int words = static_cast<int>(key.size());
  seed_word(19650218u);
  int i = 1, j = 0;
  const auto advance = [&] {
    if (++i < kWords) return;
    state_[0] = state_[kWords - 1];
    i = 1;
  };
  const auto mixed = [&](uint32_t factor) {
    const uint32_t previous = state_[i - 1];
    return state_[i] ^ ((previous ^ (previous >> 30)) * factor);
  };
  for (int k = kWords; k > 0; --k) {
    state_[i] = mixed(1664525u) + key[j] + static_cast<uint32_t>(j);
    advance();
    j = (j + 1) % words;
  }
  for (int k = kWords - 1; k > 0; --k) {
    state_[i] = mixed(1566083941u) - static_cast<uint32_t>(i);
    advance();
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::refill() {
  constexpr int kShift = 397;
  for (int i = 0; i < kWords; ++i) {
    const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kWords] & 0x7fffffffu);
    state_[i] = state_[(i + kShift) % kWords] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908b0dfu : 0u);
  }
  next_ = 0;
}

uint32_t PythonRandom::next() {
  if (next_ == kWords) refill();
  uint32_t y = state_[next_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

int64_t PythonRandom::below(int64_t n) {
  MOREX_ASSERT(n > 0 && n < (int64_t{1} << 32));
  const int bits = std::bit_width(static_cast<uint64_t>(n));
  int64_t value = n;
  while (value >= n) value = static_cast<int64_t>(next() >> (32 - bits));
  return value;
}

// Small populations are shuffled in part, large ones drawn with rejection of repeats: the border is CPython's.
std::vector<int64_t> PythonRandom::sample(int64_t n, int64_t k) {
  MOREX_ASSERT(k >= 0 && k <= n);
  std::vector<int64_t> result;
  double border = 21;
  if (k > 5) border += std::pow(4.0, std::ceil(std::log(static_cast<double>(3 * k)) / std::log(4.0)));
  if (static_cast<double>(n) <= border) {
    std::vector<int64_t> pool(n);
    std::iota(pool.begin(), pool.end(), 0);
    for (int64_t i = 0; i < k; ++i) {
      const int64_t j = below(n - i);
      result.push_back(pool[j]);
      pool[j] = pool[n - i - 1];
    }
    return result;
  }
  std::set<int64_t> taken;
  while (static_cast<int64_t>(result.size()) < k) {
    const int64_t j = below(n);
    if (taken.insert(j).second) result.push_back(j);
  }
  return result;
}

}  // namespace morex::eval
