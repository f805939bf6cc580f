#include "unit/ops/compare.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "base/random.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

double tolerance_of(at::ScalarType dtype) {
  if (dtype == at::kDouble) return 1e-12;
  return dtype == at::kFloat ? 2e-5 : 2e-2;
}

struct Run {
  at::Tensor output;
  std::vector<at::Tensor> gradients;
};

Run run(const OpFunction& f, std::vector<at::Tensor> inputs, const std::vector<bool>& wants_grad,
        const at::Tensor& output_grad) {
  std::vector<at::Tensor> leaves;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!wants_grad[i]) continue;
    inputs[i] = inputs[i].detach().requires_grad_(true);
    leaves.push_back(inputs[i]);
  }
  Run result;
  result.output = f(inputs);
  if (!leaves.empty()) {
    at::Tensor grad = output_grad.to(result.output.scalar_type());
    result.gradients = torch::autograd::grad({result.output}, leaves, {grad});
  }
  return result;
}

void expect_close(const at::Tensor& actual, const at::Tensor& expected, double relative, const std::string& what) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  if (expected.numel() == 0) return;
  const double scale = std::max(1.0, expected.abs().max().item<double>());
  EXPECT_TRUE(near(actual, expected, relative * scale)) << what;
}

}  // namespace

at::Tensor random_tensor(at::IntArrayRef shape, uint64_t seed, double scale) {
  at::Tensor t = at::empty(shape, at::kDouble);
  fill_normal({seed, stream_id("test"), 0}, 0, {t.mutable_data_ptr<double>(), static_cast<size_t>(t.numel())});
  return t.mul_(scale);
}

at::Tensor laid_out(const at::Tensor& t, Layout layout) {
  if (layout == Layout::kContiguous || t.dim() < 2) return t.contiguous();
  if (layout == Layout::kTransposed) return t.transpose(-1, -2).contiguous().transpose(-1, -2);
  std::vector<int64_t> wide = t.sizes().vec();
  wide.back() += 5;
  at::Tensor slice = at::full(wide, 1e3, t.options()).narrow(-1, 3, t.size(-1));
  slice.copy_(t);
  return slice;
}

void compare_with_reference(const OpFunction& op, const OpFunction& reference, const std::vector<OpInput>& inputs,
                            at::ScalarType dtype, Layout layout, double slack) {
  SCOPED_TRACE(case_name(dtype, layout));
  std::vector<at::Tensor> given, exact;
  std::vector<bool> wants;
  for (const OpInput& input : inputs) {
    const at::Tensor typed = input.follows_dtype ? input.values.to(dtype) : input.values;
    const at::Tensor there = typed.to(test_device());
    given.push_back(input.follows_layout ? laid_out(there, layout) : there.contiguous());
    exact.push_back(typed.is_floating_point() ? typed.to(at::kDouble) : typed);
    wants.push_back(input.requires_grad);
  }
  at::Tensor probe;
  {
    const at::NoGradGuard no_grad;
    probe = reference(exact);
  }
  // The gradient that comes in is rounded too, and strided where it can be.
  const at::Tensor grad = random_tensor(probe.sizes(), 99).to(dtype);
  const Run got = run(op, given, wants, laid_out(grad.to(test_device()), layout));
  const Run want = run(reference, exact, wants, grad.to(at::kDouble));
  const double relative = tolerance_of(dtype) * slack;
  expect_close(got.output, want.output, relative, "output");
  ASSERT_EQ(got.gradients.size(), want.gradients.size());
  for (size_t i = 0, g = 0; i < inputs.size(); ++i) {
    if (!wants[i]) continue;
    EXPECT_EQ(got.gradients[g].scalar_type(), given[i].scalar_type()) << "gradient of input " << i;
    expect_close(got.gradients[g], want.gradients[g], relative, "gradient of input " + std::to_string(i));
    ++g;
  }
}

void check_gradients(const OpFunction& op, const std::vector<at::Tensor>& host_inputs, double tolerance) {
  constexpr double kStep = 1e-5;
  std::vector<at::Tensor> inputs;
  for (const at::Tensor& input : host_inputs) inputs.push_back(input.to(test_device()));
  const at::Tensor weight = random_tensor(op(inputs).sizes(), 77).to(test_device());
  const Run analytic = run(op, inputs, std::vector<bool>(inputs.size(), true), weight);
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (int64_t j = 0; j < inputs[i].numel(); ++j) {
      const auto value_at = [&](double shift) {
        std::vector<at::Tensor> moved;
        for (const at::Tensor& input : inputs) moved.push_back(input.clone());
        moved[i].view(-1)[j].add_(shift);
        return (op(moved) * weight).sum().item<double>();
      };
      const double numeric = (value_at(kStep) - value_at(-kStep)) / (2 * kStep);
      const double got = analytic.gradients[i].reshape(-1)[j].item<double>();
      ASSERT_NEAR(got, numeric, tolerance * std::max(1.0, std::abs(numeric))) << "input " << i << " element " << j;
    }
  }
}

void expect_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& before) {
  const at::Tensor wide_a = a.to(at::kDouble), wide_b = b.to(at::kDouble);
  at::Tensor exact = wide_a.mm(wide_b), magnitude = wide_a.abs().mm(wide_b.abs());
  if (before.defined()) exact = exact + before.to(at::kDouble), magnitude = magnitude + before.abs().to(at::kDouble);
  const double rounding = out.scalar_type() == at::kBFloat16 ? 1.0 / 256 : 0.0;
  const double steps = static_cast<double>(a.size(1) + 1) * std::numeric_limits<float>::epsilon();
  const at::Tensor allowed = exact.abs().mul(rounding).add(magnitude, steps);
  EXPECT_TRUE((out.to(at::kDouble) - exact).abs().le(allowed).all().item<bool>());
}

std::string case_name(at::ScalarType dtype, Layout layout) {
  const char* names[] = {"contiguous", "column slice", "transposed"};
  return std::string(at::toString(dtype)) + ", " + names[static_cast<int>(layout)];
}

std::vector<at::ScalarType> all_dtypes() { return {at::kDouble, at::kFloat, at::kBFloat16}; }

std::vector<Layout> all_layouts() { return {Layout::kContiguous, Layout::kColumnSlice, Layout::kTransposed}; }

}  // namespace morex::test
