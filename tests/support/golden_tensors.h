// Reference tensors from safetensors files, and comparisons with a stated tolerance.
#pragma once
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace morex::test {

// MOREX_DEVICE: "cpu" (default), "cuda", or "far" (far_device.h). Throws std::runtime_error for others, and for "cuda"
// where there is none.
at::Device test_device();

// All tensors of one file, copied to the CPU in their stored type.
class GoldenTensors {
 public:
  explicit GoldenTensors(const std::filesystem::path& path);

  bool has(const std::string& name) const { return tensors_.count(name) > 0; }
  // The tensor; a missing one throws std::out_of_range with its name.
  const at::Tensor& get(const std::string& name) const;
  std::vector<std::string> names() const;                                       // sorted
  std::vector<std::string> names_with_prefix(const std::string& prefix) const;  // sorted, prefix kept

 private:
  std::map<std::string, at::Tensor> tensors_;
};

// |actual - expected| <= atol + rtol * |expected|, elementwise in float64 on the CPU; shapes must be equal and NaN is
// never near. `mask`, when given, is broadcast from the leading dimensions: only where it is non-zero is compared.
// On failure the message names the worst element. Use: EXPECT_TRUE(near(a, b, 1e-5)).
testing::AssertionResult near(const at::Tensor& actual, const at::Tensor& expected, double atol, double rtol = 0.0,
                              const at::Tensor& mask = {});

// Same type, shape and bits (NaN equals itself, 0 differs from -0).
testing::AssertionResult same_bits(const at::Tensor& actual, const at::Tensor& expected);

// max |actual - expected| where mask is set (see near): for reports.
double max_abs_difference(const at::Tensor& actual, const at::Tensor& expected, const at::Tensor& mask = {});

}  // namespace morex::test
