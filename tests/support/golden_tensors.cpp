#include "support/golden_tensors.h"

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "io/safetensors.h"
#include "nn/tensor_file.h"
#include "support/far_device.h"

namespace morex::test {

namespace {

at::Tensor as_double(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU).to(at::kDouble).contiguous(); }

// mask over the leading dimensions of `like` -> one flag for each element of `like`.
at::Tensor expand_mask(const at::Tensor& mask, const at::Tensor& like) {
  if (!mask.defined()) return at::ones_like(like, at::kBool);
  at::Tensor flags = mask.detach().to(at::kCPU).ne(0);
  while (flags.dim() < like.dim()) flags = flags.unsqueeze(-1);
  return flags.expand_as(like);
}

std::string index_text(int64_t flat, at::IntArrayRef shape) {
  std::vector<int64_t> index(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    index[d] = flat % shape[d];
    flat /= shape[d];
  }
  std::ostringstream text;
  text << at::IntArrayRef(index);
  return text.str();
}

}  // namespace

at::Device test_device() {
  const char* value = std::getenv("MOREX_DEVICE");
  const std::string_view name = value == nullptr ? "" : value;
  if (name.empty() || name == "cpu") return at::kCPU;
  if (name == "far") return far_device();
  if (name == "cuda" && at::hasCUDA()) return at::kCUDA;
  throw std::runtime_error("MOREX_DEVICE must be cpu, far, or cuda where this build and machine have a GPU, got '" +
                           std::string(name) + "'");
}

GoldenTensors::GoldenTensors(const std::filesystem::path& path) {
  const io::SafetensorsFile file = io::SafetensorsFile::open(path);
  for (const io::StoredTensor& stored : file.tensors()) {
    tensors_[stored.name] = nn::tensor_copy(stored, nn::scalar_type(stored.dtype));
  }
}

const at::Tensor& GoldenTensors::get(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw std::out_of_range("no golden tensor '" + name + "'");
  return found->second;
}

std::vector<std::string> GoldenTensors::names() const { return names_with_prefix(""); }

std::vector<std::string> GoldenTensors::names_with_prefix(const std::string& prefix) const {
  std::vector<std::string> found;
  for (const auto& [name, tensor] : tensors_) {
    if (name.starts_with(prefix)) found.push_back(name);
  }
  return found;
}

testing::AssertionResult near(const at::Tensor& actual, const at::Tensor& expected, double atol, double rtol,
                              const at::Tensor& mask) {
  if (!actual.defined()) return testing::AssertionFailure() << "the actual tensor is undefined";
  if (!expected.defined()) return testing::AssertionFailure() << "the expected tensor is undefined";
  if (actual.sizes() != expected.sizes()) {
    return testing::AssertionFailure() << "shape " << actual.sizes() << ", expected " << expected.sizes();
  }
  if (expected.numel() == 0) return testing::AssertionSuccess();
  const at::Tensor a = as_double(actual), e = as_double(expected);
  const at::Tensor flags = expand_mask(mask, e);
  if (!flags.any().item<bool>()) return testing::AssertionFailure() << "the mask leaves nothing to compare";
  const at::Tensor difference = (a - e).abs();
  // Elements outside the mask count as agreeing; a NaN on either side makes the excess +inf.
  at::Tensor excess = difference - (atol + rtol * e.abs());
  excess = at::where(excess.isnan(), INFINITY, excess);
  excess = at::where(flags, excess, -INFINITY);
  const int64_t worst = excess.argmax().item<int64_t>();
  if (excess.view({-1})[worst].item<double>() <= 0.0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "worst element " << index_text(worst, e.sizes()) << ": got "
                                     << a.view({-1})[worst].item<double>() << ", expected "
                                     << e.view({-1})[worst].item<double>() << ", difference "
                                     << difference.view({-1})[worst].item<double>() << " with atol " << atol
                                     << ", rtol " << rtol << "; " << (excess > 0).sum().item<int64_t>() << " of "
                                     << flags.sum().item<int64_t>() << " elements are off";
}

testing::AssertionResult same_bits(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.scalar_type() != expected.scalar_type()) {
    return testing::AssertionFailure() << "type " << actual.scalar_type() << ", expected " << expected.scalar_type();
  }
  if (actual.sizes() != expected.sizes()) {
    return testing::AssertionFailure() << "shape " << actual.sizes() << ", expected " << expected.sizes();
  }
  const at::Tensor a = actual.detach().to(at::kCPU).contiguous(), e = expected.detach().to(at::kCPU).contiguous();
  if (a.nbytes() == 0 || std::memcmp(a.data_ptr(), e.data_ptr(), a.nbytes()) == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "bits differ, max |difference| " << max_abs_difference(a, e);
}

double max_abs_difference(const at::Tensor& actual, const at::Tensor& expected, const at::Tensor& mask) {
  const at::Tensor e = as_double(expected);
  const at::Tensor difference = at::where(expand_mask(mask, e), (as_double(actual) - e).abs(), 0.0);
  return difference.numel() == 0 ? 0.0 : difference.max().item<double>();
}

}  // namespace morex::test
