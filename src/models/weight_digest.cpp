#include "models/weight_digest.h"

#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/checksum.h"

namespace morex::models {
namespace {

constexpr size_t kChunk = size_t{1} << 20;
constexpr uint64_t kOdd = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
constexpr int kLanes = 4;                      // hides the latency of the multiplication

uint64_t mix(uint64_t state, uint64_t word) { return std::rotl(state ^ word, 27) * kOdd; }

uint64_t finish(uint64_t state) {
  state ^= state >> 32;
  state *= kOdd;
  return state ^ (state >> 29);
}

uint64_t hash_chunk(std::span<const std::byte> bytes) {
  uint64_t lanes[kLanes] = {1, 2, 3, 4};
  constexpr size_t kStep = kLanes * sizeof(uint64_t);
  size_t at = 0;
  for (; at + kStep <= bytes.size(); at += kStep) {
    uint64_t words[kLanes];
    std::memcpy(words, bytes.data() + at, kStep);
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = mix(lanes[lane], words[lane]);
  }
  uint64_t rest[kLanes] = {0, 0, 0, 0};
  std::memcpy(rest, bytes.data() + at, bytes.size() - at);
  uint64_t state = bytes.size();
  for (int lane = 0; lane < kLanes; ++lane) state = mix(mix(state, finish(lanes[lane])), rest[lane]);
  return finish(state);
}

}  // namespace

uint64_t content_hash(std::span<const std::byte> bytes) {
  const int64_t chunks = static_cast<int64_t>((bytes.size() + kChunk - 1) / kChunk);
  std::vector<uint64_t> hashes(static_cast<size_t>(chunks));
  at::parallel_for(0, chunks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const size_t from = static_cast<size_t>(chunk) * kChunk;
      hashes[static_cast<size_t>(chunk)] = hash_chunk(bytes.subspan(from, std::min(kChunk, bytes.size() - from)));
    }
  });
  uint64_t state = bytes.size();
  for (const uint64_t hash : hashes) state = mix(state, hash);
  return finish(state);
}

void WeightDigest::add(const std::string& name, std::string_view type, const std::vector<int64_t>& shape,
                       std::span<const std::byte> bytes) {
  lines_[name] = fmt::format("{} {} {} {:016x}\n", name, type, shape, content_hash(bytes));
}

std::string WeightDigest::hex() const {
  std::string text;
  for (const auto& [name, line] : lines_) text += line;
  return sha256_hex(text);
}

}  // namespace morex::models
