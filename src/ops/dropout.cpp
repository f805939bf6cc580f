#include "ops/dropout.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/where.h>
#include <emmintrin.h>

#include <array>
#include <cmath>
#include <type_traits>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/vector_loops.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

// A group of elements takes one half word of each of its blocks' words: element half·64 + word·16 + lane of group g is
// kept by that half of that word of block 16·g + lane.
constexpr int64_t kLanes = 16, kWords = 4, kGroup = 2 * kWords * kLanes;
constexpr int64_t kBits = 16;  // of a number of a mask
using Halves = std::array<uint16_t, kGroup>;

// p as a share of the 65,536 values of a half word, not all of them.
uint32_t drop_threshold(double p) { return static_cast<uint32_t>(std::min(65535L, std::lround(p * 65536.0))); }

// philox() for the blocks of one group, lane by lane.
[[gnu::always_inline]] inline void draw_group(std::array<uint32_t, 2> key, uint64_t step, uint64_t group,
                                              Halves& halves) {
  const uint64_t first = group * kLanes;
  const uint32_t key0 = key[0], key1 = key[1];
#pragma omp simd
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    uint32_t c0 = static_cast<uint32_t>(first) + static_cast<uint32_t>(lane);  // first is a multiple of 16: no carry
    uint32_t c1 = static_cast<uint32_t>(first >> 32), c2 = static_cast<uint32_t>(step);
    uint32_t c3 = static_cast<uint32_t>(step >> 32);
    uint32_t k0 = key0, k1 = key1;
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint32_t high0 = static_cast<uint32_t>((uint64_t{0xD2511F53} * c0) >> 32), low0 = 0xD2511F53u * c0;
      const uint32_t high1 = static_cast<uint32_t>((uint64_t{0xCD9E8D57} * c2) >> 32), low1 = 0xCD9E8D57u * c2;
      c0 = high1 ^ c1 ^ k0, c1 = low1, c2 = high0 ^ c3 ^ k1, c3 = low0;
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    const uint32_t words[kWords] = {c0, c1, c2, c3};
#pragma GCC unroll 4
    for (int64_t word = 0; word < kWords; ++word) {
      halves[static_cast<size_t>(word * kLanes + lane)] = static_cast<uint16_t>(words[word]);
      halves[static_cast<size_t>((kWords + word) * kLanes + lane)] = static_cast<uint16_t>(words[word] >> 16);
    }
  }
}

// A group's half words against the threshold: bit i of the result is set where element i is kept. SSE2 is always there.
[[gnu::always_inline]] inline void pack_group(const Halves& halves, uint16_t threshold, uint16_t* bits) {
  const __m128i limit = _mm_set1_epi16(static_cast<int16_t>(threshold)), zero = _mm_setzero_si128();
  const auto kept = [&](int64_t i) __attribute__((always_inline)) {
    const auto* at = reinterpret_cast<const __m128i*>(halves.data() + i);
    return _mm_cmpeq_epi16(_mm_subs_epu16(limit, _mm_loadu_si128(at)), zero);  // limit <= half word
  };
  for (int64_t i = 0; i < kGroup; i += kBits)
    bits[i / kBits] = static_cast<uint16_t>(_mm_movemask_epi8(_mm_packs_epi16(kept(i), kept(i + kBits / 2))));
}

// The mask of n elements, a bit each, 16 to a number; whole groups.
at::Tensor drawn_bits(int64_t n, uint32_t threshold, const RandomKey& key) {
  const at::Tensor bits = at::empty({(n + kGroup - 1) / kGroup * (kGroup / kBits)}, at::TensorOptions(at::kUInt16));
  uint16_t* to = bits.mutable_data_ptr<uint16_t>();
  const std::array<uint32_t, 2> words = philox_key(key);
  for_chunks(n, kChunkElements, [&](int64_t begin, int64_t end) {
    in_vectors([&]() __attribute__((always_inline)) {
      Halves halves;
      for (int64_t i = begin; i < end; i += kGroup) {
        draw_group(words, key.step, static_cast<uint64_t>(i / kGroup), halves);
        pack_group(halves, static_cast<uint16_t>(threshold), to + i / kBits);
      }
    });
  });
  return bits;
}

// Calls f(element, kept) for elements begin … end-1, sixteen at a time in vectors; begin is a multiple of kBits.
template <typename F>
[[gnu::always_inline]] inline void for_bits(const uint16_t* bits, int64_t begin, int64_t end, const F& f) {
  int64_t i = begin;
  for (; i + kBits <= end; i += kBits) {
    const uint32_t word = bits[i / kBits];
#pragma omp simd
    for (int64_t j = 0; j < kBits; ++j) f(i + j, (word >> j & 1u) != 0);
  }
  for (; i < end; ++i) f(i, (bits[i / kBits] >> i % kBits & 1) != 0);
}

// x·factor where it is kept, zero elsewhere.
at::Tensor masked(const at::Tensor& x_in, const at::Tensor& bits, double p) {
  const at::Tensor x = x_in.detach().contiguous();
  const at::Tensor y = at::empty_like(x);
  const uint16_t* mask = bits.const_data_ptr<uint16_t>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "dropout", [&] {
    const scalar_t* from = x.const_data_ptr<scalar_t>();
    scalar_t* to = y.mutable_data_ptr<scalar_t>();
    const auto factor = static_cast<Wide<scalar_t>>(dropout_factor(p));
    for_chunks(x.numel(), kChunkElements, [&](int64_t begin, int64_t end) {
      in_vectors([&]() __attribute__((always_inline)) {
        for_bits(
            mask, begin, end, [=](int64_t i, bool kept) __attribute__((always_inline)) {
              const Wide<scalar_t> scaled = widen(from[i]) * factor;
              to[i] = narrow<scalar_t>(kept ? scaled : Wide<scalar_t>(0));
            });
      });
    });
  });
  return y;
}

// Bits of an element; zero is zero in all of them.
template <typename T>
using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;

// Where x is not on the CPU: the mask is drawn there all the same, and copied.
at::Tensor masked_elsewhere(const at::Tensor& x, double p, const RandomKey& key) {
  const at::Tensor kept = dropout_mask(x.sizes(), p, key).to(x.device());
  return at::where(kept, x.detach().to(wide_type(x.scalar_type())) * dropout_factor(p), 0.0).to(x.scalar_type());
}

}  // namespace

at::Tensor dropout(const at::Tensor& x, double p, const RandomKey& key) {
  MOREX_ASSERT(p >= 0.0 && p < 1.0);
  const uint32_t threshold = drop_threshold(p);
  if (threshold == 0) return x;
  AutogradNode node("dropout", {x});
  if (!x.is_cpu())
    return node.record(masked_elsewhere(x, p, key), {}, [p, key](const BackwardPass& pass) -> Tensors {
      return {masked_elsewhere(pass.grads[0], p, key)};
    });
  const at::Tensor bits = drawn_bits(x.numel(), threshold, key);
  node.remakes(0, [p](const Tensors& saved) { return masked(saved[0], saved[1], p); });
  return node.record(masked(x, bits, p), {x, bits},
                     [p](const BackwardPass& pass) -> Tensors { return {masked(pass.grads[0], pass.saved[1], p)}; });
}

double dropout_factor(double p) { return 65536.0 / (65536.0 - drop_threshold(p)); }

void drop_in_place(at::TensorList xs, double p, const RandomKey& key) {
  MOREX_ASSERT(p >= 0.0 && p < 1.0 && !xs.empty());
  for (const at::Tensor& x : xs)
    MOREX_ASSERT(x.is_contiguous() && !x.requires_grad() && x.sizes() == xs[0].sizes() &&
                 x.scalar_type() == xs[0].scalar_type());
  const uint32_t threshold = drop_threshold(p);
  if (threshold == 0) return;
  if (!xs[0].is_cpu()) {
    const at::Tensor dropped = dropout_mask(xs[0].sizes(), p, key).to(xs[0].device()).logical_not();
    for (const at::Tensor& x : xs) x.masked_fill_(dropped, 0.0);
    return;
  }
  const at::Tensor bits = drawn_bits(xs[0].numel(), threshold, key);
  const uint16_t* mask = bits.const_data_ptr<uint16_t>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, xs[0].scalar_type(), "drop", [&] {
    for_chunks(xs[0].numel(), kChunkElements, [&](int64_t begin, int64_t end) {
      for (const at::Tensor& x : xs) {
        auto* all = static_cast<Bits<scalar_t>*>(x.mutable_data_ptr());
        in_vectors([&]() __attribute__((always_inline)) {
          for_bits(
              mask, begin, end, [=](int64_t i, bool kept) __attribute__((always_inline)) {
                all[i] = kept ? all[i] : Bits<scalar_t>(0);
              });
        });
      }
    });
  });
}

at::Tensor dropout_mask(at::IntArrayRef shape, double p, const RandomKey& key) {
  MOREX_ASSERT(p >= 0.0 && p < 1.0);
  const at::Tensor mask = at::empty(shape, at::TensorOptions().dtype(at::kBool));
  const at::Tensor bits = drawn_bits(mask.numel(), drop_threshold(p), key);
  const uint16_t* from = bits.const_data_ptr<uint16_t>();
  bool* to = mask.mutable_data_ptr<bool>();
  for_chunks(mask.numel(), kChunkElements, [&](int64_t begin, int64_t end) {
    for_bits(from, begin, end, [=](int64_t i, bool kept) { to[i] = kept; });
  });
  return mask;
}

}  // namespace morex::ops
