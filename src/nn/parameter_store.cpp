#include "nn/parameter_store.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/error.h"

namespace morex::nn {
namespace {

constexpr int64_t kAlignment = 16;  // elements: 64 bytes in float32

}  // namespace

bool Leaf::frozen(int64_t step) const {
  return std::all_of(segments.begin(), segments.end(), [&](const Segment& s) { return s.options.frozen(step); });
}

int64_t ParameterStore::declare(std::string name, std::vector<int64_t> shape, const LeafOptions& options) {
  const int64_t rows = shape.empty() ? 1 : shape.front();
  return declare(std::move(name), std::move(shape), std::vector<LeafRows>{{rows, options}});
}

int64_t ParameterStore::declare(std::string name, std::vector<int64_t> shape, const std::vector<LeafRows>& rows) {
  MOREX_ASSERT(!allocated());
  int64_t width = 1;  // elements of a row
  for (size_t i = 1; i < shape.size(); ++i) width *= shape[i];
  Leaf leaf{std::move(name), std::move(shape), {}, size_, 0};
  for (const LeafRows& part : rows) {
    if (part.rows == 0) continue;
    if (!leaf.segments.empty() && leaf.segments.back().options == part.options) {
      leaf.segments.back().size += part.rows * width;
    } else {
      leaf.segments.push_back({size_ + leaf.size, part.rows * width, part.options});
    }
    leaf.size += part.rows * width;
  }
  MOREX_ASSERT(leaf.size == (leaf.shape.empty() ? 1 : leaf.shape.front()) * width);
  size_ += (leaf.size + kAlignment - 1) / kAlignment * kAlignment;
  leaves_.push_back(std::move(leaf));
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

void ParameterStore::zero_frozen_grads(int64_t step) {
  for (const Leaf& leaf : leaves_)
    for (const Segment& segment : leaf.segments)
      if (segment.options.frozen(step)) grads_.narrow(0, segment.offset, segment.size).zero_();
}

int64_t ParameterStore::parameter_count() const {
  int64_t count = 0;
  for (const Leaf& leaf : leaves_) count += leaf.size;
  return count;
}

}  // namespace morex::nn
