// One task is a block of 64 queries of one head (forward) or one key head (backward). Operands are copied into padded
// blocks; products of the last, partial blocks are cut to whole units.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <limits>
#include <type_traits>

#include "ops/attention_blocks.h"
#include "ops/attention_forms.h"
#include "ops/attention_visibility.h"
#include "ops/block_product.h"
#include "ops/dense_rows.h"
#include "ops/row_kernels.h"
#include "ops/thread_memory.h"
#include "ops/time_recorder.h"

namespace morex::ops {
namespace {

constexpr int64_t kBlock = kAttentionBlock;

// Rows or columns of a partial block as products take them: there are few shapes of kernels, and whole vectors.
constexpr int64_t kUnit = 16;
int64_t whole_units(int64_t n) { return (n + kUnit - 1) / kUnit * kUnit; }
int64_t in_units(int64_t n) { return std::min(kBlock, whole_units(n)); }

// The visible part of one block of queries: key blocks [first, last), the last one up to key `end`.
struct BlockRange {
  int64_t first, last, end;
  int64_t columns(int64_t block) const { return in_units(end - block * kBlock); }
  int64_t width() const { return (last - 1 - first) * kBlock + columns(last - 1); }
};

BlockRange key_blocks(const Visibility& visible, int64_t row, int64_t rows) {
  const int64_t end = visible.end(row + rows - 1);
  return {visible.begin(row) / kBlock, blocks_of(end), end};
}

// For a profile: `products` products between what each query and the keys it may see by position hold.
void count_attention(const Visibility& visible, const at::Tensor& q, double products, at::ScalarType operands) {
  if (!recording_time()) return;
  double pairs = 0;
  for (int64_t i = 0; i < q.size(2); ++i) pairs += static_cast<double>(visible.end(i) - visible.begin(i));
  count_flops(2.0 * products * pairs * static_cast<double>(q.size(0) * q.size(1) * q.size(3)), operands);
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

  // exp(scale·s - largest) and the log-sum-exp; the range must hold all that the rows see.
  void from_scores(float* s, int64_t stride, BlockRange range, int64_t row, int64_t rows, float* lse) const {
    for_rows(s, stride, range, row, rows,
             [&](int64_t r, float* x, int64_t n) { lse[r] = exp_visible(x, n, scale_).lse; });
  }

 private:
  // Calls f(r, scores, count) on what row r sees, with -inf where it may not look, and zeros the rest of the block.
  // What it sees is widened to whole vectors: a loop's scalar rest would cost as much as the loop.
  template <typename F>
  void for_rows(float* s, int64_t stride, BlockRange range, int64_t row, int64_t rows, const F& f) const {
    constexpr float kHidden = -std::numeric_limits<float>::infinity();
    const int64_t base = range.first * kBlock;
    const int64_t width = range.width();
    for (int64_t r = 0; r < in_units(rows); ++r) {
      float* line = s + r * stride;
      if (r >= rows) {
        std::fill(line, line + width, 0.0f);
        continue;
      }
      const int64_t from = std::clamp<int64_t>(visible_.begin(row + r) - base, 0, width);
      const int64_t to = std::clamp<int64_t>(visible_.end(row + r) - base, from, width);
      const int64_t first = from / kUnit * kUnit, last = whole_units(to);
      std::fill(line, line + first, 0.0f);
      std::fill(line + first, line + from, kHidden);
      std::fill(line + to, line + last, kHidden);
      std::fill(line + last, line + width, 0.0f);
      visible_.hide(b_, row + r, line + from, base + from, base + to);
      f(r, line + first, last - first);
    }
  }

  const Visibility& visible_;
  int64_t b_;
  float scale_;
};

// The heads of a tensor [B, H, N, K] with dense rows.
template <typename T>
struct Heads {
  T* data;
  int64_t batch_stride, head_stride, stride;
  T* row(int64_t b, int64_t h, int64_t n) const { return data + b * batch_stride + h * head_stride + n * stride; }
};

template <typename T>
Heads<const T> read(const at::Tensor& t) {
  return {t.const_data_ptr<T>(), t.stride(0), t.stride(1), t.stride(2)};
}
template <typename T>
Heads<T> write(const at::Tensor& t) {
  return {t.mutable_data_ptr<T>(), t.stride(0), t.stride(1), t.stride(2)};
}

// What every query block multiplies with: all keys (or values) [B, H, N, K] as right operands, block by block.
template <typename T>
struct KeyOperands {
  at::Tensor memory;  // [B, H, blocks, 64·K]
  int64_t heads, size;
  const T* block(int64_t b, int64_t h, int64_t j) const {
    return memory.const_data_ptr<T>() + ((b * heads + h) * memory.size(2) + j) * size;
  }
};

enum class Turned { kNo, kYes };

// As they are, each block [64, K], or each block turned, [K, 64].
template <typename From, typename T>
KeyOperands<T> key_operands(const at::Tensor& t, Turned turned) {
  const int64_t heads = t.size(1), keys = t.size(2), width = t.size(3), blocks = blocks_of(keys);
  const at::Tensor memory =
      at::empty({t.size(0), heads, blocks, kBlock * width}, t.options().dtype(c10::CppTypeToScalarType<T>::value));
  const Heads<const From> rows = read<From>(t);
  T* to = memory.mutable_data_ptr<T>();
  const ThreadMemory<T> room(t.size(0) * heads * blocks, kBlock * width);
  at::parallel_for(0, t.size(0) * heads * blocks, 1, [&](int64_t first, int64_t last) {
    T* left = room.first();
    for (int64_t i = first; i < last; ++i) {
      const int64_t head = i / blocks, row = i % blocks * kBlock;
      T* right = to + i * kBlock * width;
      left_rows(rows.row(head / heads, head % heads, row), rows.stride, std::min(kBlock, keys - row), width, left);
      turned == Turned::kYes ? right_of_columns(left, width, width, kBlock, right, kBlock)
                             : right_of_rows(left, width, kBlock, width, right, width);
    }
  });
  return {memory, heads, kBlock * width};
}

// From: the tensors' type, T: that of the products' operands.
template <typename From, typename T>
AttentionResult forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                        const AttentionKind& kind) {
  const int64_t batch = q.size(0), heads = q.size(1), length = q.size(2), width = q.size(3);
  const int64_t group = heads / k.size(1), blocks = blocks_of(length), keys = blocks_of(k.size(2)) * kBlock;
  const KeyOperands<T> kt = key_operands<From, T>(k, Turned::kYes), vr = key_operands<From, T>(v, Turned::kNo);
  const at::Tensor out = empty_heads(batch, heads, length, width, q.options());
  const at::Tensor lse = at::empty({batch, heads, length}, q.options().dtype(at::kFloat));
  const Visibility visible(kind, length, k.size(2));
  const at::ScalarType operands = c10::CppTypeToScalarType<T>::value;
  count_attention(visible, q, 2, operands);
  const Heads<const From> qs = read<From>(q);
  const Heads<From> outs = write<From>(out);
  float* lses = lse.mutable_data_ptr<float>();
  const ThreadMemory<float, T> memory(batch * heads * blocks, kBlock * (keys + width),
                                      kBlock * (std::is_same_v<T, float> ? width : keys + width));
  at::parallel_for(0, batch * heads * blocks, 1, [&](int64_t first, int64_t last) {
    float *s = memory.first(), *sums = s + kBlock * keys;
    T *queries = memory.second(), *room = queries + kBlock * width;
    for (int64_t task = first; task < last; ++task) {
      const int64_t bh = task / blocks, row = task % blocks * kBlock, rows = std::min(kBlock, length - row);
      const int64_t b = bh / heads, h = bh % heads, m = in_units(rows);
      const BlockRange range = key_blocks(visible, row, rows);
      left_rows(qs.row(b, h, row), qs.stride, rows, width, queries);
      for (int64_t j = range.first; j < range.last; ++j) {
        block_product(m, range.columns(j), width, queries, width, kt.block(b, h / group, j), kBlock,
                      s + (j - range.first) * kBlock, keys, false);
      }
      Probabilities(visible, b, scale).from_scores(s, keys, range, row, rows, lses + bh * length + row);
      // Divided by the sum of what is multiplied: rounding then moves weights against each other alone, and the
      // largest, 1, not at all.
      float totals[kBlock];
      const T* p = as_left(s, keys, m, range.width(), room, totals);
      for (int64_t j = range.first; j < range.last; ++j) {
        block_product(m, width, range.columns(j), p + (j - range.first) * kBlock, keys, vr.block(b, h / group, j),
                      width, sums, width, j > range.first);
      }
      write_means(sums, totals, rows, width, outs.row(b, h, row), outs.stride);
    }
    release_block_products(operands);
  });
  return {out, lse};
}

// The gradients of a key block's rows stand turned, [K, 64]: their products then have probabilities on the right, as
// they come out of the softmax.
template <typename From, typename T>
AttentionGradients backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionResult& result, double scale, const AttentionKind& kind) {
  const int64_t batch = q.size(0), heads = q.size(1), length = q.size(2), width = q.size(3), keys = k.size(2);
  const int64_t key_heads = k.size(1), group = heads / key_heads, blocks = blocks_of(length), size = kBlock * width;
  const KeyOperands<T> kr = key_operands<From, T>(k, Turned::kNo), kt = key_operands<From, T>(k, Turned::kYes);
  const KeyOperands<T> vt = key_operands<From, T>(v, Turned::kYes);
  const at::Tensor dq = empty_heads(batch, heads, length, width, q.options());
  const at::Tensor dk = empty_heads(batch, key_heads, keys, width, k.options());
  const at::Tensor dv = empty_heads(batch, key_heads, keys, width, v.options());
  const Visibility visible(kind, length, keys);
  const at::ScalarType operands = c10::CppTypeToScalarType<T>::value;
  count_attention(visible, q, 5, operands);
  const Heads<const From> qs = read<From>(q), gs = read<From>(dout), outs = read<From>(result.out);
  const Heads<From> dqs = write<From>(dq), dks = write<From>(dk), dvs = write<From>(dv);
  const float* lses = result.lse.const_data_ptr<float>();
  const int64_t sums_size = blocks_of(keys) * size;
  const ThreadMemory<float, T> memory(batch * key_heads, 2 * (sums_size + size + kBlock * kBlock),
                                      4 * size + 3 * kBlock * kBlock);
  at::parallel_for(0, batch * key_heads, 1, [&](int64_t first, int64_t last) {
    float *dkt = memory.first(), *dvt = dkt + sums_size, *sums = dvt + sums_size, *room = sums + size;
    float *p = room + size, *ds = p + kBlock * kBlock;
    T *query = memory.second(), *turned_query = query + size, *grad = turned_query + size;
    T *turned_grad = grad + size, *p_right = turned_grad + size;
    T *ds_left = p_right + kBlock * kBlock, *ds_right = ds_left + kBlock * kBlock;
    float delta[kBlock];
    for (int64_t task = first; task < last; ++task) {
      const int64_t b = task / key_heads, kv = task % key_heads;
      std::fill(dkt, dkt + 2 * sums_size, 0.0f);
      for (int64_t step = 0; step < group * blocks; ++step) {
        const int64_t h = kv * group + step / blocks, row = step % blocks * kBlock;
        const int64_t rows = std::min(kBlock, length - row), m = in_units(rows), line = (b * heads + h) * length + row;
        const BlockRange range = key_blocks(visible, row, rows);
        const Probabilities probabilities(visible, b, scale);
        left_rows(qs.row(b, h, row), qs.stride, rows, width, query);
        left_rows(gs.row(b, h, row), gs.stride, rows, width, grad);
        left_columns(query, width, turned_query);
        left_columns(grad, width, turned_grad);
        std::fill(delta + rows, delta + m, 0.0f);
        for (int64_t r = 0; r < rows; ++r) delta[r] = row_dot(gs.row(b, h, row + r), outs.row(b, h, row + r), width);
        for (int64_t j = range.first; j < range.last; ++j) {
          const int64_t n = range.columns(j);
          block_product(m, n, width, query, width, kt.block(b, kv, j), kBlock, p, kBlock, false);
          probabilities.from_lse(p, kBlock, {j, j + 1, range.end}, row, rows, lses + line);
          block_product(width, n, m, turned_grad, kBlock, as_right(p, kBlock, m, n, p_right), kBlock, dvt + j * size,
                        kBlock, true);
          block_product(m, n, width, grad, width, vt.block(b, kv, j), kBlock, ds, kBlock, false);
          for (int64_t r = 0; r < m; ++r) {
            row_softmax_backward(p + r * kBlock, ds + r * kBlock, n, delta[r], static_cast<float>(scale));
          }
          block_product(m, width, n, as_left(ds, kBlock, m, n, ds_left), kBlock, kr.block(b, kv, j), width, sums, width,
                        j > range.first);
          block_product(width, n, m, turned_query, kBlock, as_right(ds, kBlock, m, n, ds_right), kBlock, dkt + j * size,
                        kBlock, true);
        }
        write_rows(sums, rows, width, dqs.row(b, h, row), dqs.stride);
      }
      for (int64_t j = 0; j < blocks_of(keys); ++j) {
        const int64_t row = j * kBlock, rows = std::min(kBlock, keys - row);
        write_columns(dkt + j * size, rows, width, room, dks.row(b, kv, row), dks.stride);
        write_columns(dvt + j * size, rows, width, room, dvs.row(b, kv, row), dvs.stride);
      }
    }
    release_block_products(operands);
  });
  return {dq, dk, dv};
}

// Calls f(From(), T()) with the types of tensors and operands.
template <typename F>
auto with_types(const at::Tensor& q, const F& f) {
  if (q.scalar_type() == at::kFloat) return f(float(), float());
  if (has_block_product(at::kBFloat16) && q.size(3) % 8 == 0) return f(c10::BFloat16(), c10::BFloat16());
  return f(c10::BFloat16(), float());
}

}  // namespace

bool blocked_attention_available() { return has_block_product(at::kFloat); }

AttentionResult blocked_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                                  const AttentionKind& kind) {
  const at::NoGradGuard no_grad;
  return with_types(q, [&]<typename From, typename T>(From, T) {
    return forward<From, T>(with_dense_rows(q), with_dense_rows(k), with_dense_rows(v), scale, kind);
  });
}

AttentionGradients blocked_attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                              const at::Tensor& v, const AttentionResult& result, double scale,
                                              const AttentionKind& kind) {
  const at::NoGradGuard no_grad;
  return with_types(q, [&]<typename From, typename T>(From, T) {
    return backward<From, T>(with_dense_rows(dout), with_dense_rows(q), with_dense_rows(k), with_dense_rows(v), result,
                             scale, kind);
  });
}

}  // namespace morex::ops
