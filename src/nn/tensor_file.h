// Tensor files to at::Tensor and back.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/safetensors.h"

namespace morex::nn {

at::ScalarType scalar_type(io::DType dtype);
io::DType dtype_of(at::ScalarType type);

// A tensor over the mapped bytes, no copy (keeps the map alive; read-only by convention). Misaligned data is copied.
at::Tensor tensor_view(const io::StoredTensor& stored);
// A copy of its own in `dtype`.
at::Tensor tensor_copy(const io::StoredTensor& stored, at::ScalarType dtype, at::Device device = at::kCPU);

// Writes atomically; tensors are made contiguous and moved to the CPU as needed.
void save_tensors(const std::filesystem::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                  const std::map<std::string, std::string>& metadata = {});

}  // namespace morex::nn
