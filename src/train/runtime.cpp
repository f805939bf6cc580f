#include "train/runtime.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include "base/system.h"

namespace morex::train {
namespace {

at::Device resolve_device(const std::string& name) {
  const bool has_cuda = at::hasCUDA();
  MOREX_CHECK(name != "cuda" || has_cuda, ErrorKind::kConfig,
              "[recipe] device is cuda, but this build or machine has none. Hint: device: cpu.");
  return name == "cuda" || (name == "auto" && has_cuda) ? at::Device(at::kCUDA) : at::Device(at::kCPU);
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

std::string dtype_name(at::ScalarType dtype) {
  if (dtype == at::kDouble) return "float64";
  return dtype == at::kFloat ? "float32" : "bfloat16";
}

std::string Runtime::dtype_name() const { return train::dtype_name(dtype); }

Runtime resolve_runtime(const Recipe& recipe, Warnings& warnings) {
  Runtime runtime;
  runtime.device = resolve_device(recipe.device);
  MOREX_CHECK(!recipe.profile || runtime.device.is_cpu(), ErrorKind::kConfig,
              "[recipe] profile measures runs on the CPU, got device {}", runtime.device.str());
  runtime.dtype = resolve_dtype(recipe.dtype, runtime.device, warnings);
  runtime.threads = recipe.threads > 0 ? recipe.threads : available_cores();
  at::set_num_threads(static_cast<int>(runtime.threads));
  return runtime;
}

}  // namespace morex::train
