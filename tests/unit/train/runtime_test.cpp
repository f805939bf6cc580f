#include "train/runtime.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace morex::train {
namespace {

at::DeviceType device_of(const std::string& name) {
  Warnings warnings{false, false};
  Recipe recipe;
  recipe.device = name;
  recipe.threads = 1;
  return resolve_runtime(recipe, warnings).device.type();
}

TEST(Runtime, Auto_takes_cuda_where_it_can_be_used_and_nowhere_else) {
  EXPECT_EQ(device_of("auto"), why_no_cuda().empty() ? at::kCUDA : at::kCPU);
  EXPECT_EQ(device_of("cpu"), at::kCPU);
}

TEST(Runtime, Cuda_that_cannot_be_used_is_a_configuration_error_with_the_reason) {
  if (why_no_cuda().empty()) GTEST_SKIP() << "CUDA can be used here";
  try {
    device_of("cuda");
    FAIL() << "cuda was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_NE(std::string(error.what()).find(why_no_cuda()), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace morex::train
