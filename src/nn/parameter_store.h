// All trainable tensors of a run in one flat buffer: values, gradients. A leaf is a detached view of the buffer with
// its .grad preset to the view of the gradient, so that the optimiser, the norm, clipping and the checkpoint are one
// call each. fp32, or fp64 in fp64 runs, whatever the base's dtype.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace morex::nn {

// How a part of a leaf is optimised.
struct LeafOptions {
  static constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

  double lr_factor = 1.0;                     // LoRA+, routers
  bool decay = true;                          // weight decay applies
  int64_t frozen_from = 0, frozen_until = 0;  // steps from <= step < until do not move it

  bool frozen(int64_t step) const { return step >= frozen_from && step < frozen_until; }
  bool operator==(const LeafOptions&) const = default;
};

// Consecutive rows of a leaf (its first dimension) with settings of their own.
struct LeafRows {
  int64_t rows = 0;
  LeafOptions options;
};

// The segment table of the flat buffer: elements with equal settings.
struct Segment {
  int64_t offset = 0, size = 0;  // elements
  LeafOptions options;
};

struct Leaf {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<Segment> segments;  // in order, without gaps; neighbours differ
  int64_t offset = 0;             // elements from the start of the flat buffer
  int64_t size = 0;
  bool frozen(int64_t step) const;  // all of it
};

// A tensor as checkpoints name it: a view or a transpose of (part of) a leaf. `view` maps the leaf's tensor (its value
// or its gradient) to the named tensor without copying.
struct NamedView {
  std::string name;
  int64_t leaf = 0;
  std::function<at::Tensor(const at::Tensor&)> view;
};

class ParameterStore {
 public:
  // Before allocate(): returns the leaf's number.
  int64_t declare(std::string name, std::vector<int64_t> shape, const LeafOptions& options = {});
  // The rows must add up to shape[0].
  int64_t declare(std::string name, std::vector<int64_t> shape, const std::vector<LeafRows>& rows);
  void add_view(NamedView view);

  // One zeroed buffer for values and one for gradients; leaves start at multiples of 16 elements.
  void allocate(at::ScalarType dtype, at::Device device);
  bool allocated() const { return values_.defined(); }

  const at::Tensor& leaf(int64_t number) const { return tensors_[static_cast<size_t>(number)]; }  // requires_grad
  const std::vector<Leaf>& leaves() const { return leaves_; }
  const std::vector<NamedView>& views() const { return views_; }
  at::Tensor named_value(const NamedView& view) const;  // detached
  at::Tensor named_grad(const NamedView& view) const;

  const at::Tensor& values() const { return values_; }  // flat, [size()]
  const at::Tensor& grads() const { return grads_; }    // flat, [size()]
  void zero_grads();
  // Clears the gradients of what is frozen at this step: neither the norm nor clipping then counts them.
  void zero_frozen_grads(int64_t step);
  int64_t size() const { return size_; }  // elements of the buffer, padding included
  int64_t parameter_count() const;        // without padding
  at::ScalarType dtype() const { return values_.scalar_type(); }

 private:
  std::vector<Leaf> leaves_;
  std::vector<NamedView> views_;
  std::vector<at::Tensor> tensors_;
  at::Tensor values_, grads_;
  int64_t size_ = 0;
};

}  // namespace morex::nn
