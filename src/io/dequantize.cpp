// Blocks of the GGUF types to float32. Each product and each sum is rounded on its own, as the reference does: this
// file is compiled without contraction to fused multiply-adds.
#include <bit>
#include <cstring>

#include "base/error.h"
#include "io/gguf.h"

namespace morex::io {
namespace {

constexpr int64_t kBlock = 32;

// Exact, also for subnormals and with a processor that flushes them.
inline float half_to_float(uint16_t half) {
  const uint32_t magnitude = half & 0x7FFFu;
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t rebased = (magnitude << 13) + (112u << 23);
  const float subnormal = std::bit_cast<float>(magnitude | 0x3F000000u);  // 0.5 + magnitude · 2^-24, see below
  uint32_t bits = rebased;
  if (magnitude >= 0x7C00u) bits = rebased + (112u << 23);
  if (magnitude < 0x0400u) bits = std::bit_cast<uint32_t>(subnormal - 0.5f);
  return std::bit_cast<float>(bits | sign);
}

inline uint16_t load16(const std::byte* at) {
  uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

inline float load_half(const std::byte* at) { return half_to_float(load16(at)); }

// The 32 quants of a 4-bit block: low nibbles first.
inline void unpack_nibbles(const std::byte* in, int32_t* quants) {
  for (int i = 0; i < 16; ++i) {
    const auto byte = static_cast<int32_t>(in[i]);
    quants[i] = byte & 0xF;
    quants[i + 16] = byte >> 4;
  }
}

// Adds the fifth bits of a 5-bit block.
inline void add_high_bits(const std::byte* in, int32_t* quants) {
  uint32_t high;
  std::memcpy(&high, in, sizeof high);
  for (int i = 0; i < 32; ++i) quants[i] |= static_cast<int32_t>((high >> i) & 1u) << 4;
}

void block_q4_0(const std::byte* in, float* out) {
  int32_t quants[kBlock];
  const float scale = load_half(in);
  unpack_nibbles(in + 2, quants);
  for (int i = 0; i < kBlock; ++i) out[i] = scale * static_cast<float>(quants[i] - 8);
}

void block_q4_1(const std::byte* in, float* out) {
  int32_t quants[kBlock];
  const float scale = load_half(in);
  const float minimum = load_half(in + 2);
  unpack_nibbles(in + 4, quants);
  for (int i = 0; i < kBlock; ++i) out[i] = scale * static_cast<float>(quants[i]) + minimum;
}

void block_q5_0(const std::byte* in, float* out) {
  int32_t quants[kBlock];
  const float scale = load_half(in);
  unpack_nibbles(in + 6, quants);
  add_high_bits(in + 2, quants);
  for (int i = 0; i < kBlock; ++i) out[i] = scale * static_cast<float>(quants[i] - 16);
}

void block_q5_1(const std::byte* in, float* out) {
  int32_t quants[kBlock];
  const float scale = load_half(in);
  const float minimum = load_half(in + 2);
  unpack_nibbles(in + 8, quants);
  add_high_bits(in + 4, quants);
  for (int i = 0; i < kBlock; ++i) out[i] = scale * static_cast<float>(quants[i]) + minimum;
}

void block_q8_0(const std::byte* in, float* out) {
  const float scale = load_half(in);
  for (int i = 0; i < kBlock; ++i) out[i] = scale * static_cast<float>(static_cast<int8_t>(in[2 + i]));
}

void blocks(void (*convert)(const std::byte*, float*), const GgmlType& type, const std::byte* in,
            std::span<float> out) {
  for (size_t at = 0; at < out.size(); at += kBlock, in += type.block_bytes) convert(in, out.data() + at);
}

}  // namespace

void dequantize(const GgmlType& type, std::span<const std::byte> bytes, std::span<float> out,
                const std::string& where) {
  MOREX_CHECK(type.dequantizable, ErrorKind::kFormat,
              "[{}] tensor type {} is not supported. Hint: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 are.", where,
              type.name);
  MOREX_ASSERT(static_cast<int64_t>(out.size()) % type.block == 0);
  MOREX_ASSERT(out.size() / static_cast<size_t>(type.block) * static_cast<size_t>(type.block_bytes) == bytes.size());
  const std::byte* in = bytes.data();
  switch (type.number) {
    case 0:
      if (!out.empty()) std::memcpy(out.data(), in, bytes.size());
      break;
    case 1:
      for (size_t i = 0; i < out.size(); ++i) out[i] = load_half(in + 2 * i);
      break;
    case 2:
      blocks(block_q4_0, type, in, out);
      break;
    case 3:
      blocks(block_q4_1, type, in, out);
      break;
    case 6:
      blocks(block_q5_0, type, in, out);
      break;
    case 7:
      blocks(block_q5_1, type, in, out);
      break;
    case 8:
      blocks(block_q8_0, type, in, out);
      break;
    default:
      MOREX_ASSERT(type.number == 30);  // BF16: the upper half of a float32
      for (size_t i = 0; i < out.size(); ++i)
        out[i] = std::bit_cast<float>(static_cast<uint32_t>(load16(in + 2 * i)) << 16);
  }
}

}  // namespace morex::io
