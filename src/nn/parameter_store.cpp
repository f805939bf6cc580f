#include "nn/parameter_store.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"

namespace morex::nn {
namespace {

constexpr int64_t kAlignment = 16;  // elements: 64 bytes in float32

}  // namespace

int64_t ParameterStore::declare(std::string name, std::vector<int64_t> shape, LeafOptions options) {
  MOREX_ASSERT(!allocated());
  int64_t elements = 1;
  for (const int64_t extent : shape) elements *= extent;
  leaves_.push_back({std::move(name), std::move(shape), options, size_, elements});
  size_ += (elements + kAlignment - 1) / kAlignment * kAlignment;
  return static_cast<int64_t>(leaves_.size()) - 1;
}

void ParameterStore::add_view(NamedView view) {
  MOREX_ASSERT(view.leaf >= 0 && view.leaf < static_cast<int64_t>(leaves_.size()));
  views_.push_back(std::move(view));
}

void ParameterStore::allocate(at::ScalarType dtype, at::Device device) {
  MOREX_ASSERT(!allocated());
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  values_ = at::zeros({size_}, options);
  grads_ = at::zeros({size_}, options);
  tensors_.reserve(leaves_.size());
  for (const Leaf& leaf : leaves_) {
    // Autograd adds into a .grad that is already there, in place: the flat gradient fills itself.
    at::Tensor tensor = values_.narrow(0, leaf.offset, leaf.size).view(leaf.shape).detach();
    tensor.requires_grad_(true);
    tensor.mutable_grad() = grads_.narrow(0, leaf.offset, leaf.size).view(leaf.shape).detach();
    tensors_.push_back(std::move(tensor));
  }
}

at::Tensor ParameterStore::named_value(const NamedView& view) const { return view.view(leaf(view.leaf).detach()); }

at::Tensor ParameterStore::named_grad(const NamedView& view) const { return view.view(leaf(view.leaf).grad()); }

void ParameterStore::zero_grads() {
  if (!grads_.is_meta()) grads_.zero_();
}

int64_t ParameterStore::parameter_count() const {
  int64_t count = 0;
  for (const Leaf& leaf : leaves_) count += leaf.size;
  return count;
}

}  // namespace morex::nn
