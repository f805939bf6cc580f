#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "io/gguf.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
using test::raw;

std::vector<float> convert(uint32_t type, const std::string& bytes, size_t count) {
  std::vector<float> out(count);
  dequantize(*ggml_type(type), std::as_bytes(std::span(bytes.data(), bytes.size())), out, "test");
  return out;
}

constexpr uint16_t kHalf = 0x3800;       // 0.5
constexpr uint16_t kMinusTwo = 0xC000;   // -2
constexpr uint16_t kSubnormal = 0x0001;  // 2^-24

TEST(Dequantize, halves_are_exact) {
  const std::vector<uint16_t> halves = {0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0x7C00, 0xFC00, 0x3555};
  std::string bytes;
  for (const uint16_t half : halves) bytes += raw(half);
  const std::vector<float> out = convert(1, bytes, halves.size());
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> expected = {
      0.0f,     -0.0f,     std::ldexp(1.0f, -24), -std::ldexp(1023.0f, -24), std::ldexp(1.0f, -14), 65504.0f,
      infinity, -infinity, 0.333251953125f};
  for (size_t i = 0; i < out.size(); ++i)
    EXPECT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(expected[i])) << i;
  EXPECT_TRUE(std::isnan(convert(1, raw<uint16_t>(0x7E01), 1)[0]));
}

TEST(Dequantize, bf16_keeps_subnormals) {
  EXPECT_EQ(std::bit_cast<uint32_t>(convert(30, raw<uint16_t>(0x0001), 1)[0]), 0x00010000u);
}

TEST(Dequantize, four_bit_blocks) {
  std::string quants(16, '\0');
  for (int i = 0; i < 16; ++i) quants[static_cast<size_t>(i)] = static_cast<char>(i | ((15 - i) << 4));
  const std::vector<float> a = convert(2, raw(kHalf) + quants, 32);
  const std::vector<float> b = convert(3, raw(kHalf) + raw(kMinusTwo) + quants, 32);
  for (int i = 0; i < 16; ++i) {
    const auto low = static_cast<size_t>(i);
    EXPECT_EQ(a[low], 0.5f * static_cast<float>(i - 8));
    EXPECT_EQ(a[low + 16], 0.5f * static_cast<float>(15 - i - 8));
    EXPECT_EQ(b[low], 0.5f * static_cast<float>(i) - 2.0f);
    EXPECT_EQ(b[low + 16], 0.5f * static_cast<float>(15 - i) - 2.0f);
  }
}

TEST(Dequantize, five_bit_blocks) {
  const std::string high = raw<uint32_t>(0x80000001u);  // elements 0 and 31
  const std::string quants(16, '\x21');                 // low nibble 1, high nibble 2
  const std::vector<float> a = convert(6, raw(kHalf) + high + quants, 32);
  EXPECT_EQ(a[0], 0.5f * (17 - 16));
  EXPECT_EQ(a[1], 0.5f * (1 - 16));
  EXPECT_EQ(a[16], 0.5f * (2 - 16));
  EXPECT_EQ(a[31], 0.5f * (18 - 16));
  const std::vector<float> b = convert(7, raw(kHalf) + raw(kMinusTwo) + high + quants, 32);
  EXPECT_EQ(b[0], 0.5f * 17 - 2);
  EXPECT_EQ(b[31], 0.5f * 18 - 2);
}

TEST(Dequantize, eight_bit_blocks) {
  std::string block = raw(kSubnormal);
  block.resize(2 + 32, '\0');
  block[2] = static_cast<char>(-128);
  block[33] = 127;
  const std::vector<float> out = convert(8, block, 32);
  EXPECT_EQ(out[0], std::ldexp(-128.0f, -24));
  EXPECT_EQ(out[31], std::ldexp(127.0f, -24));
}

TEST(Dequantize, products_and_sums_are_rounded_apart) {
  // With a fused multiply-add some element of some of these blocks would differ in its last bit.
  for (uint16_t scale = 0x2C01; scale < 0x2D01; scale += 3) {
    const std::vector<float> out = convert(3, raw(scale) + raw<uint16_t>(0xB2AB) + std::string(16, '\x7B'), 32);
    const volatile float product = convert(1, raw(scale), 1)[0] * 11.0f;
    EXPECT_EQ(out[0], product + convert(1, raw<uint16_t>(0xB2AB), 1)[0]);
  }
}

TEST(Dequantize, other_types_are_refused_by_name) {
  std::vector<float> out(256);
  const std::string message =
      test::error_of([&] { dequantize(*ggml_type(12), std::vector<std::byte>(144), out, "file, tensor x"); });
  EXPECT_NE(message.find("Q4_K"), std::string::npos);
  EXPECT_NE(message.find("tensor x"), std::string::npos);
  EXPECT_EQ(ggml_type(4), nullptr);
  EXPECT_EQ(ggml_type(1000), nullptr);
}

}  // namespace
}  // namespace morex::io
