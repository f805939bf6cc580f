// One task is a block of 64 queries of one head (forward) or one key head (backward). Operands are copied once into
// float32 buffers padded to whole blocks; products of the last, partial blocks are cut to multiples of 16, so that
// there are few shapes of kernels.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "ops/attention_forms.h"
#include "ops/attention_packing.h"
#include "ops/attention_visibility.h"
#include "ops/row_kernels.h"
#include "ops/time_recorder.h"

#ifdef MOREX_HAS_BRGEMM
namespace at::native::cpublas {
// Exported by LibTorch, declared in no header of the wheel: c [m, n] (+)= a [m, k]·b [k, n], row-major.
void brgemm(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc, bool add, const float* a,
            const float* b, float* c, bool vnni);
void brgemm_release(bool vnni);
}  // namespace at::native::cpublas
#endif

namespace morex::ops {
namespace {

constexpr int64_t kBlock = kAttentionBlock;

void block_product(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float* c,
                   int64_t ldc, bool add) {
#ifdef MOREX_HAS_BRGEMM
  at::native::cpublas::brgemm(m, n, k, lda, ldb, ldc, add, a, b, c, false);
#else
  (void)m, (void)n, (void)k, (void)a, (void)lda, (void)b, (void)ldb, (void)c, (void)ldc, (void)add;
  MOREX_ASSERT(false);
#endif
}

void release_block_product() {
#ifdef MOREX_HAS_BRGEMM
  at::native::cpublas::brgemm_release(false);
#endif
}

// n rows or columns of a partial block as products take them.
int64_t in_units(int64_t n) { return std::min(kBlock, (n + 15) / 16 * 16); }

// The visible part of one block of queries: key blocks [first, last), the last one up to key `end`.
struct BlockRange {
  int64_t first, last, end;
  int64_t columns(int64_t block) const { return in_units(end - block * kBlock); }
};

BlockRange key_blocks(const Visibility& visible, int64_t row, int64_t rows) {
  const int64_t end = visible.end(row + rows - 1);
  return {visible.begin(row) / kBlock, padded_to_block(end) / kBlock, end};
}

// For a profile: `products` products between what each query and the keys it may see by position hold.
void count_attention(const Visibility& visible, const at::Tensor& q, double products) {
  if (!recording_time()) return;
  double pairs = 0;
  for (int64_t i = 0; i < q.size(2); ++i) pairs += static_cast<double>(visible.end(i) - visible.begin(i));
  count_flops(2.0 * products * pairs * static_cast<double>(q.size(0) * q.size(1) * q.size(3)), at::kFloat);
}

// Turns the products of 64 query rows with the key blocks of a range into probabilities, zero where nothing is visible.
class Probabilities {
 public:
  Probabilities(const Visibility& visible, int64_t b, double scale)
      : visible_(visible), b_(b), scale_(static_cast<float>(scale)) {}

  // exp(scale·s - lse), from the log-sum-exp of rows row … row + rows - 1.
  void from_lse(float* s, int64_t stride, BlockRange range, int64_t row, int64_t rows, const float* lse) const {
    for_rows(s, stride, range, row, rows, [&](int64_t r, float* x, int64_t n) { row_exp(x, n, scale_, lse[r]); });
  }

  // softmax(scale·s) and the log-sum-exp; the range must hold all that the rows see.
  void softmax(float* s, int64_t stride, BlockRange range, int64_t row, int64_t rows, float* lse) const {
    for_rows(s, stride, range, row, rows,
             [&](int64_t r, float* x, int64_t n) { lse[r] = softmax_visible(x, n, scale_); });
  }

 private:
  // Calls f(r, scores, count) on what row r sees, with -inf where it may not look, and zeros the rest of the block.
  template <typename F>
  void for_rows(float* s, int64_t stride, BlockRange range, int64_t row, int64_t rows, const F& f) const {
    const int64_t base = range.first * kBlock;
    const int64_t width = (range.last - 1) * kBlock - base + range.columns(range.last - 1);
    for (int64_t r = 0; r < in_units(rows); ++r) {
      float* line = s + r * stride;
      const int64_t from = r < rows ? std::clamp<int64_t>(visible_.begin(row + r) - base, 0, width) : width;
      const int64_t to = r < rows ? std::clamp<int64_t>(visible_.end(row + r) - base, from, width) : width;
      std::fill(line, line + from, 0.0f);
      std::fill(line + to, line + width, 0.0f);
      if (r >= rows) continue;
      visible_.hide(b_, row + r, line + from, base + from, base + to);
      f(r, line + from, to - from);
    }
  }

  const Visibility& visible_;
  int64_t b_;
  float scale_;
};

}  // namespace

bool blocked_attention_available() {
#ifdef MOREX_HAS_BRGEMM
  return true;
#else
  return false;
#endif
}

AttentionResult blocked_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                                  const AttentionKind& kind) {
  const at::NoGradGuard no_grad;
  const int64_t batch = q.size(0), heads = q.size(1), length = q.size(2), width = q.size(3);
  const int64_t key_heads = k.size(1), group = heads / key_heads, keys = padded_to_block(k.size(2));
  const at::Tensor qp = packed_rows(q), kt = packed_columns(packed_rows(k)), vp = packed_rows(v);
  const at::Tensor out = at::empty({batch, heads, qp.size(2), width}, qp.options());
  const at::Tensor lse = at::empty({batch, heads, length}, qp.options());
  const Visibility visible(kind, length, k.size(2));
  count_attention(visible, q, 2);
  const int64_t blocks = qp.size(2) / kBlock;
  const float* qs = qp.const_data_ptr<float>();
  const float *ks = kt.const_data_ptr<float>(), *vs = vp.const_data_ptr<float>();
  float *outs = out.mutable_data_ptr<float>(), *lses = lse.mutable_data_ptr<float>();
  at::parallel_for(0, batch * heads * blocks, 1, [&](int64_t first, int64_t last) {
    std::vector<float> scores(static_cast<size_t>(kBlock * keys));
    float* s = scores.data();
    for (int64_t task = first; task < last; ++task) {
      const int64_t bh = task / blocks, row = task % blocks * kBlock, rows = std::min(kBlock, length - row);
      const int64_t b = bh / heads, kv = b * key_heads + bh % heads / group;
      const BlockRange range = key_blocks(visible, row, rows);
      const float* qb = qs + (bh * qp.size(2) + row) * width;
      for (int64_t j = range.first; j < range.last; ++j) {
        block_product(in_units(rows), range.columns(j), width, qb, width, ks + kv * width * keys + j * kBlock, keys,
                      s + (j - range.first) * kBlock, keys, false);
      }
      Probabilities(visible, b, scale).softmax(s, keys, range, row, rows, lses + bh * length + row);
      for (int64_t j = range.first; j < range.last; ++j) {
        block_product(in_units(rows), width, range.columns(j), s + (j - range.first) * kBlock, keys,
                      vs + (kv * keys + j * kBlock) * width, width, outs + (bh * qp.size(2) + row) * width, width,
                      j > range.first);
      }
    }
    release_block_product();
  });
  return {unpacked(out, length, q.scalar_type()), lse};
}

AttentionGradients blocked_attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                              const at::Tensor& v, const AttentionResult& result, double scale,
                                              const AttentionKind& kind) {
  const at::NoGradGuard no_grad;
  const int64_t batch = q.size(0), heads = q.size(1), length = q.size(2), width = q.size(3);
  const int64_t key_heads = k.size(1), group = heads / key_heads, keys = padded_to_block(k.size(2));
  const at::Tensor qp = packed_rows(q), gp = packed_rows(dout);
  const at::Tensor kp = packed_rows(k), kt = packed_columns(kp), vt = packed_columns(packed_rows(v));
  const at::Tensor delta = row_products(dout, result.out);  // [B, H, L]
  const at::Tensor dq = at::empty_like(qp), dk = at::zeros_like(kp), dv = at::zeros_like(kp);
  const Visibility visible(kind, length, k.size(2));
  count_attention(visible, q, 5);
  const int64_t blocks = qp.size(2) / kBlock;
  const float *qs = qp.const_data_ptr<float>(), *gs = gp.const_data_ptr<float>(), *ks = kp.const_data_ptr<float>();
  const float *kts = kt.const_data_ptr<float>(), *vts = vt.const_data_ptr<float>();
  const float *lses = result.lse.const_data_ptr<float>(), *deltas = delta.const_data_ptr<float>();
  float *dqs = dq.mutable_data_ptr<float>(), *dks = dk.mutable_data_ptr<float>(), *dvs = dv.mutable_data_ptr<float>();
  at::parallel_for(0, batch * key_heads, 1, [&](int64_t first, int64_t last) {
    std::vector<float> buffers(3 * kBlock * kBlock);
    float *p = buffers.data(), *ds = p + kBlock * kBlock, *turned = ds + kBlock * kBlock;
    for (int64_t step = first * group * blocks; step < last * group * blocks; ++step) {
      const int64_t bh = step / blocks, row = step % blocks * kBlock, rows = std::min(kBlock, length - row);
      const int64_t b = bh / heads, kv = bh / group;
      const BlockRange range = key_blocks(visible, row, rows);
      const Probabilities probabilities(visible, b, scale);
      const int64_t query = (bh * qp.size(2) + row) * width, line = bh * length + row;
      const int64_t m = in_units(rows);
      for (int64_t j = range.first; j < range.last; ++j) {
        const int64_t column = kv * width * keys + j * kBlock, key = (kv * keys + j * kBlock) * width;
        const int64_t n = range.columns(j);
        block_product(m, n, width, qs + query, width, kts + column, keys, p, kBlock, false);
        probabilities.from_lse(p, kBlock, {j, j + 1, range.end}, row, rows, lses + line);
        turn_block(p, kBlock, m, n, turned, kBlock);
        block_product(n, width, m, turned, kBlock, gs + query, width, dvs + key, width, true);
        block_product(m, n, width, gs + query, width, vts + column, keys, ds, kBlock, false);
        for (int64_t r = 0; r < m; ++r) {
          row_softmax_backward(p + r * kBlock, ds + r * kBlock, n, r < rows ? deltas[line + r] : 0.0f,
                               static_cast<float>(scale));
        }
        block_product(m, width, n, ds, kBlock, ks + key, width, dqs + query, width, j > range.first);
        turn_block(ds, kBlock, m, n, turned, kBlock);
        block_product(n, width, m, turned, kBlock, qs + query, width, dks + key, width, true);
      }
    }
    release_block_product();
  });
  return {unpacked(dq, length, q.scalar_type()), unpacked(dk, k.size(2), k.scalar_type()),
          unpacked(dv, v.size(2), v.scalar_type())};
}

}  // namespace morex::ops
