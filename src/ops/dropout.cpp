#include "ops/dropout.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <cmath>

#include "base/error.h"
#include "ops/autograd_node.h"
#include "ops/chunks.h"
#include "ops/wide.h"

namespace morex::ops {
namespace {

constexpr int64_t kWordsPerBlock = 4;

uint64_t keep_threshold(double p) { return static_cast<uint64_t>(std::llround(p * 4294967296.0)); }

// Calls f(i, kept) for every element i in [begin, end); begin is a multiple of kWordsPerBlock.
template <typename F>
void for_mask(const RandomKey& key, uint64_t threshold, int64_t begin, int64_t end, const F& f) {
  for (int64_t i = begin; i < end; i += kWordsPerBlock) {
    const std::array<uint32_t, 4> words = random_block(key, static_cast<uint64_t>(i / kWordsPerBlock));
    for (int64_t j = 0; j < std::min(kWordsPerBlock, end - i); ++j)
      f(i + j, words[static_cast<size_t>(j)] >= threshold);
  }
}

at::Tensor apply_mask(const at::Tensor& x_in, double p, const RandomKey& key) {
  const at::Tensor x = x_in.detach().contiguous();
  const at::Tensor y = at::empty_like(x);
  const uint64_t threshold = keep_threshold(p);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "dropout", [&] {
    using wide = Wide<scalar_t>;
    const scalar_t* xs = x.const_data_ptr<scalar_t>();
    scalar_t* ys = y.mutable_data_ptr<scalar_t>();
    const wide factor = static_cast<wide>(1.0 / (1.0 - p));
    for_chunks(x.numel(), kChunkElements, [&](int64_t begin, int64_t end) {
      for_mask(key, threshold, begin, end, [&](int64_t i, bool kept) {
        ys[i] = kept ? static_cast<scalar_t>(static_cast<wide>(xs[i]) * factor) : scalar_t(0);
      });
    });
  });
  return y;
}

}  // namespace

at::Tensor dropout(const at::Tensor& x, double p, const RandomKey& key) {
  MOREX_ASSERT(p >= 0.0 && p < 1.0);
  if (p == 0.0) return x;
  AutogradNode node("dropout", {x});
  return node.record(apply_mask(x, p, key), {},
                     [p, key](const BackwardPass& pass) -> Tensors { return {apply_mask(pass.grads[0], p, key)}; });
}

at::Tensor dropout_mask(at::IntArrayRef shape, double p, const RandomKey& key) {
  MOREX_ASSERT(p >= 0.0 && p < 1.0);
  const at::Tensor mask = at::empty(shape, at::TensorOptions().dtype(at::kBool));
  bool* kept_at = mask.mutable_data_ptr<bool>();
  for_chunks(mask.numel(), kChunkElements, [&](int64_t begin, int64_t end) {
    for_mask(key, keep_threshold(p), begin, end, [&](int64_t i, bool kept) { kept_at[i] = kept; });
  });
  return mask;
}

}  // namespace morex::ops
