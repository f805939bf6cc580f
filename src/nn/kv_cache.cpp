#include "nn/kv_cache.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/error.h"

namespace morex::nn {
namespace {

// A copy with room for `capacity` positions that keeps the first `used`.
at::Tensor grown(const at::Tensor& t, int64_t capacity, int64_t used) {
  at::Tensor larger = at::empty({t.size(0), t.size(1), capacity, t.size(3)}, t.options());
  larger.narrow(2, 0, used).copy_(t.narrow(2, 0, used));
  return larger;
}

}  // namespace

KvCache::KvCache(int64_t layers, int64_t batch, int64_t kv_heads, int64_t head_dim, int64_t capacity,
                 at::TensorOptions options) {
  for (int64_t i = 0; i < layers; ++i) {
    keys_.push_back(at::empty({batch, kv_heads, capacity, head_dim}, options));
    values_.push_back(at::empty({batch, kv_heads, capacity, head_dim}, options));
  }
}

std::pair<at::Tensor, at::Tensor> KvCache::append(int64_t layer, const at::Tensor& k, const at::Tensor& v) {
  const at::NoGradGuard no_grad;
  at::Tensor &keys = keys_[static_cast<size_t>(layer)], &values = values_[static_cast<size_t>(layer)];
  MOREX_ASSERT(k.sizes() == v.sizes() && k.size(0) == keys.size(0) && k.size(1) == keys.size(1));
  const int64_t added = k.size(2), total = length_ + added;
  if (total > keys.size(2)) {
    const int64_t capacity = std::max(total, 2 * keys.size(2));
    keys = grown(keys, capacity, length_);
    values = grown(values, capacity, length_);
  }
  keys.narrow(2, length_, added).copy_(k);
  values.narrow(2, length_, added).copy_(v);
  return {keys.narrow(2, 0, total), values.narrow(2, 0, total)};
}

void KvCache::select(const at::Tensor& rows) {
  for (std::vector<at::Tensor>* half : {&keys_, &values_}) {
    for (at::Tensor& t : *half) t = t.index_select(0, rows);
  }
}

int64_t KvCache::batch() const { return keys_.empty() ? 0 : keys_.front().size(0); }

}  // namespace morex::nn
