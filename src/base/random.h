// Counter-based random numbers (Philox 4x32-10): a value is a pure function of (seed, stream, step, index), so it does
// not depend on threads, on the order of calls, or on what else was drawn.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace morex {

// Names one stream of random numbers. `stream` is usually stream_id("purpose" or a tensor's name).
struct RandomKey {
  uint64_t seed = 0;
  uint64_t stream = 0;
  uint64_t step = 0;
};

// A stable 64-bit name of a stream (FNV-1a of the text).
uint64_t stream_id(std::string_view name);

// Philox 4x32-10 itself: ten rounds over a 128-bit counter with a 64-bit key (Salmon et al., SC 2011).
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// The generator's key of a stream: what random_block() hands to philox().
std::array<uint32_t, 2> philox_key(const RandomKey& key);

// The four 32-bit words of block `block` of a stream: counter = (block, step), low words first.
std::array<uint32_t, 4> random_block(const RandomKey& key, uint64_t block);

// Element i of the stream, i = offset … offset + out.size() - 1. Uniform: [0, 1) with 53 bits. Normal: Box-Muller.
// Both take one block per two elements, so that any part of a stream can be drawn alone.
void fill_uniform(const RandomKey& key, uint64_t offset, std::span<double> out);
void fill_normal(const RandomKey& key, uint64_t offset, std::span<double> out);
double uniform_at(const RandomKey& key, uint64_t index);

// A permutation of 0 … n-1 (Fisher-Yates with unbiased bounded draws).
std::vector<int64_t> permutation(const RandomKey& key, int64_t n);

}  // namespace morex
