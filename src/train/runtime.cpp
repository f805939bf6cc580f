#include "train/runtime.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include <cstdlib>

#include "base/system.h"

namespace morex::train {
namespace {

at::Device resolve_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  const std::string reason = why_no_cuda();
  MOREX_CHECK(name != "cuda" || reason.empty(), ErrorKind::kConfig,
              "[recipe] device must be one that can be used, got cuda: {}. Hint: device: cpu.", reason);
  return reason.empty() ? at::kCUDA : at::kCPU;
}

// Sums by atomic additions differ from run to run; LibTorch warns of an operation that has no other form.
void make_cuda_deterministic() {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

at::ScalarType resolve_dtype(const std::string& name, at::Device device, Warnings& warnings) {
  const CpuFeatures cpu = cpu_features();
  const bool native_bfloat16 = device.is_cuda() || cpu.avx512_bf16 || cpu.amx_bf16;
  if (name == "auto") return native_bfloat16 ? at::kBFloat16 : at::kFloat;
  if (name == "float64") return at::kDouble;
  if (name == "float32") return at::kFloat;
  if (!native_bfloat16)
    warnings.add("slow_bfloat16", fmt::format("[recipe] dtype is bfloat16, but {} has no bfloat16 products: "
                                              "float32 is faster here",
                                              cpu.model_name));
  return at::kBFloat16;
}

}  // namespace

std::string why_no_cuda() {
  if (at::hasCUDA()) return "";
  if (!at::CUDAHooksRegistry()->Has("CUDAHooks")) return "this build is for CPUs (docs/devices.md)";
  return "no CUDA device is visible";
}

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      return c10::toString(dtype);
  }
}

std::string Runtime::dtype_name() const { return train::dtype_name(dtype); }

Runtime resolve_runtime(const Recipe& recipe, Warnings& warnings) {
  Runtime runtime;
  runtime.device = resolve_device(recipe.device);
  MOREX_CHECK(!recipe.profile || runtime.device.is_cpu(), ErrorKind::kConfig,
              "[recipe] profile measures runs on the CPU, got device {}", runtime.device.str());
  MOREX_CHECK(
      recipe.memory_budget_gib == 0 || runtime.device.is_cpu(), ErrorKind::kConfig,
      "[recipe] memory_budget_gib forecasts runs on the CPU, got device {}. Hint: gradient_checkpointing: true.",
      runtime.device.str());
  if (runtime.device.is_cuda()) make_cuda_deterministic();
  runtime.dtype = resolve_dtype(recipe.dtype, runtime.device, warnings);
  runtime.threads = recipe.threads > 0 ? recipe.threads : available_cores();
  at::set_num_threads(static_cast<int>(runtime.threads));
  return runtime;
}

}  // namespace morex::train
