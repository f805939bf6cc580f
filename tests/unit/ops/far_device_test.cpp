// The far device notices what would go wrong on a GPU.
#include "support/far_device.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <csignal>

#include "support/golden_tensors.h"

namespace morex::test {
namespace {

class FarDevice : public testing::Test {
 protected:
  void SetUp() override {
    if (test_device().type() != c10::kPrivateUse1) GTEST_SKIP() << "MOREX_DEVICE is not far";
  }
  at::Tensor there() const { return at::ones({2, 3}, at::TensorOptions(at::kFloat).device(far_device())); }
};

TEST_F(FarDevice, Computes_and_gives_its_numbers_back) {
  const at::Tensor x = there();
  EXPECT_FALSE(x.is_cpu());
  EXPECT_TRUE(same_bits((x + x).mul_(3.0), at::ones({2, 3}) * 6.0));
  EXPECT_EQ(x.sum().item<float>(), 6.0f);
  EXPECT_TRUE(same_bits(at::cat({x.narrow(1, 1, 2), x}, 1).t(), at::ones({5, 2})));
}

TEST_F(FarDevice, Refuses_tensors_of_both_devices) { EXPECT_THROW(there() + at::ones({2, 3}), c10::Error); }

TEST_F(FarDevice, Its_memory_cannot_be_read_by_host_code) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const at::Tensor x = there();
  EXPECT_EXIT(std::exit(x.const_data_ptr<float>()[0] == 1.0f), testing::KilledBySignal(SIGSEGV), "");
}

}  // namespace
}  // namespace morex::test
