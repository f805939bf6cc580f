// Counter = (block, step), key = (seed mixed with stream): two different keys
// never share a sequence.
#include "base/random.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include "base/error.h"

namespace morex {
namespace {

// SplitMix64's finaliser: spreads neighbouring seeds over the key space.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

double to_unit(uint32_t high, uint32_t low) {
  const uint64_t bits = (static_cast<uint64_t>(high) << 32 | low) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace

uint64_t stream_id(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ULL;
  return hash;
}

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return c;
}

std::array<uint32_t, 2> philox_key(const RandomKey& key) {
  const uint64_t mixed = mix(mix(key.seed) ^ key.stream);
  return {static_cast<uint32_t>(mixed), static_cast<uint32_t>(mixed >> 32)};
}

std::array<uint32_t, 4> random_block(const RandomKey& key, uint64_t block) {
  return philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), static_cast<uint32_t>(key.step),
                 static_cast<uint32_t>(key.step >> 32)},
                philox_key(key));
}

void fill_uniform(const RandomKey& key, uint64_t offset, std::span<double> out) {
  std::array<uint32_t, 4> words{};
  uint64_t have = UINT64_MAX;
  for (size_t i = 0; i < out.size(); ++i) {
    const uint64_t index = offset + i;
    if (index / 2 != have) words = random_block(key, have = index / 2);
    out[i] = index % 2 == 0 ? to_unit(words[0], words[1]) : to_unit(words[2], words[3]);
  }
}

void fill_normal(const RandomKey& key, uint64_t offset, std::span<double> out) {
  double even = 0, odd = 0;
  uint64_t have = UINT64_MAX;
  for (size_t i = 0; i < out.size(); ++i) {
    const uint64_t index = offset + i;
    if (index / 2 != have) {
      const std::array<uint32_t, 4> words = random_block(key, have = index / 2);
      const double radius = std::sqrt(-2.0 * std::log(1.0 - to_unit(words[0], words[1])));  // 1 - u is in (0, 1]
      const double angle = 2.0 * std::numbers::pi * to_unit(words[2], words[3]);
      even = radius * std::cos(angle);
      odd = radius * std::sin(angle);
    }
    out[i] = index % 2 == 0 ? even : odd;
  }
}

double uniform_at(const RandomKey& key, uint64_t index) {
  double value = 0;
  fill_uniform(key, index, {&value, 1});
  return value;
}

std::vector<int64_t> permutation(const RandomKey& key, int64_t n) {
  MOREX_ASSERT(n >= 0);
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  uint64_t block = 0;
  for (int64_t i = n - 1; i > 0; --i) {
    const uint64_t bound = static_cast<uint64_t>(i) + 1;
    const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;  // draws from here on would favour small numbers
    uint64_t draw = 0;
    do {
      const std::array<uint32_t, 4> words = random_block(key, block++);
      draw = static_cast<uint64_t>(words[0]) << 32 | words[1];
    } while (draw >= limit);
    std::swap(order[static_cast<size_t>(i)], order[draw % bound]);
  }
  return order;
}

}  // namespace morex
