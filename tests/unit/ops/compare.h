// Runs an op and its reference twin on the same numbers and compares outputs and all gradients.
#pragma once
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace morex::test {

using OpFunction = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

enum class Layout { kContiguous, kColumnSlice, kTransposed };

struct OpInput {
  at::Tensor values;  // float64
  bool requires_grad = true;
  bool follows_dtype = true;   // false: stays what it is (a float32 leaf: give float32 values)
  bool follows_layout = true;  // false: contiguous always (leaves)
};

at::Tensor random_tensor(at::IntArrayRef shape, uint64_t seed, double scale = 1.0);  // float64, normal
// The same values with other strides.
at::Tensor laid_out(const at::Tensor& t, Layout layout);

// `op` runs on test_device() in `dtype` and the given layout, `reference` in float64 on the CPU on the same rounded
// numbers. Relative to each
// tensor's largest magnitude (at least 1: the inputs are of that size) the difference must stay below the tolerance of
// the dtype times `slack`.
void compare_with_reference(const OpFunction& op, const OpFunction& reference, const std::vector<OpInput>& inputs,
                            at::ScalarType dtype, Layout layout, double slack = 1.0);

// Central differences of sum(op · random) in float64 on test_device() against the op's gradients.
void check_gradients(const OpFunction& op, const std::vector<at::Tensor>& inputs, double tolerance = 1e-7);

// out is a·b (and what was there `before`): each number within the rounding of out's type and what float32 sums of
// that many products leave.
void expect_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& before = {});

std::string case_name(at::ScalarType dtype, Layout layout);
std::vector<at::ScalarType> all_dtypes();
std::vector<Layout> all_layouts();

}  // namespace morex::test
