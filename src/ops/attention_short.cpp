// Few queries, as in decoding: bound by reading the keys and values, which are read where they lie.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

#include "ops/attention_forms.h"
#include "ops/attention_visibility.h"
#include "ops/dense_rows.h"
#include "ops/few_rows.h"
#include "ops/vector_loops.h"

namespace morex::ops {
namespace {

// Multiply-adds that are worth another thread.
constexpr int64_t kWorkPerThread = int64_t{1} << 18;

// What one thread needs for the queries that share a key head: rows = (H/Hk)·L.
struct Buffers {
  Buffers(int64_t rows, int64_t width, int64_t keys)
      : queries(static_cast<size_t>(rows * width)),
        out(static_cast<size_t>(rows * width)),
        scores(static_cast<size_t>(rows * keys)) {}
  std::vector<float> queries, out, scores;
};

template <typename T>
void attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, float scale, const Visibility& visible,
            int64_t b, int64_t key_head, Buffers& buffers, const AttentionResult& r) {
  const int64_t heads = q.size(1), length = q.size(2), width = q.size(3), keys = k.size(2);
  const int64_t group = heads / k.size(1), rows = group * length;
  const auto row_of = [&](const at::Tensor& t, int64_t row) {
    return b * t.stride(0) + (key_head * group + row / length) * t.stride(1) + row % length * t.stride(2);
  };
  const T* qs = q.const_data_ptr<T>();
  float* scores = buffers.scores.data();
  for (int64_t i = 0; i < rows; ++i) convert_row(qs + row_of(q, i), buffers.queries.data() + i * width, width);
  const int64_t key = b * k.stride(0) + key_head * k.stride(1), value = b * v.stride(0) + key_head * v.stride(1);
  // Causality hides at most the last length - 1 keys: it is not worth a product of its own for each query.
  const int64_t from = visible.begin(0), count = keys - from;
  dot_rows<T>({buffers.queries.data(), width}, rows, {k.const_data_ptr<T>() + key + from * k.stride(2), k.stride(2)},
              count, width, {scores, count});
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t query = i % length, begin = visible.begin(query) - from, end = visible.end(query) - from;
    float* line = scores + i * count;
    std::fill(line, line + begin, 0.0f);
    std::fill(line + end, line + count, 0.0f);
    visible.hide(b, query, line + begin, from + begin, from + end);
    const int64_t place = (b * heads + key_head * group + i / length) * length + query;
    r.lse.mutable_data_ptr<float>()[place] = softmax_visible(line + begin, end - begin, scale);
  }
  mix_rows<T>({scores, count}, rows, {v.const_data_ptr<T>() + value + from * v.stride(2), v.stride(2)}, width, count,
              {buffers.out.data(), width});
  for (int64_t i = 0; i < rows; ++i)
    convert_row(buffers.out.data() + i * width, r.out.mutable_data_ptr<T>() + row_of(r.out, i), width);
}

}  // namespace

AttentionResult short_attention(const at::Tensor& q_in, const at::Tensor& k_in, const at::Tensor& v_in, double scale,
                                const AttentionKind& kind) {
  const at::Tensor q = with_dense_rows(q_in), k = with_dense_rows(k_in), v = with_dense_rows(v_in);
  const int64_t batch = q.size(0), heads = q.size(1), length = q.size(2), width = q.size(3);
  const int64_t key_heads = k.size(1), keys = k.size(2), rows = heads / key_heads * length;
  AttentionResult r;
  r.out = empty_heads(batch, heads, length, width, q.options());
  r.lse = at::empty({batch, heads, length}, q.options().dtype(at::kFloat));
  if (q.numel() == 0) return r;
  const Visibility visible(kind, length, keys);
  const auto form = q.scalar_type() == at::kFloat ? attend<float> : attend<c10::BFloat16>;
  const int64_t grain = std::max<int64_t>(1, kWorkPerThread / (2 * rows * keys * width));
  at::parallel_for(0, batch * key_heads, grain, [&](int64_t first, int64_t last) {
    Buffers buffers(rows, width, keys);
    for (int64_t task = first; task < last; ++task) {
      form(q, k, v, static_cast<float>(scale), visible, task / key_heads, task % key_heads, buffers, r);
    }
  });
  return r;
}

}  // namespace morex::ops
