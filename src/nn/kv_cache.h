// Keys and values of the positions already seen, per decoder layer.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace morex::nn {

class KvCache {
 public:
  // Room for `capacity` positions: keys and values [B, kv_heads, capacity, head_dim] per layer, grown when exceeded.
  KvCache(int64_t layers, int64_t batch, int64_t kv_heads, int64_t head_dim, int64_t capacity,
          at::TensorOptions options);

  // Writes k, v [B, kv_heads, L, head_dim] of layer `layer` behind the present length and returns views of all
  // positions so far. The length moves on only with advance(), once all layers have written.
  std::pair<at::Tensor, at::Tensor> append(int64_t layer, const at::Tensor& k, const at::Tensor& v);
  void advance(int64_t positions) { length_ += positions; }
  void truncate(int64_t length) { length_ = length; }  // forgets what lies behind
  void select(const at::Tensor& rows);                 // keeps (and repeats) rows of the batch
  int64_t length() const { return length_; }
  int64_t batch() const;

 private:
  std::vector<at::Tensor> keys_, values_;
  int64_t length_ = 0;
};

}  // namespace morex::nn
