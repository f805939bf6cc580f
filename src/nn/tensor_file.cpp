#include "nn/tensor_file.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "base/error.h"

namespace morex::nn {
namespace {

struct TypePair {
  io::DType stored;
  at::ScalarType type;
};

constexpr TypePair kTypes[] = {
    {io::DType::kF64, at::kDouble},    {io::DType::kF32, at::kFloat},  {io::DType::kF16, at::kHalf},
    {io::DType::kBF16, at::kBFloat16}, {io::DType::kI64, at::kLong},   {io::DType::kI32, at::kInt},
    {io::DType::kI16, at::kShort},     {io::DType::kI8, at::kChar},    {io::DType::kU64, at::kUInt64},
    {io::DType::kU32, at::kUInt32},    {io::DType::kU16, at::kUInt16}, {io::DType::kU8, at::kByte},
    {io::DType::kBool, at::kBool},
};

}  // namespace

at::ScalarType scalar_type(io::DType dtype) {
  for (const TypePair& pair : kTypes) {
    if (pair.stored == dtype) return pair.type;
  }
  MOREX_ASSERT(false);
}

io::DType dtype_of(at::ScalarType type) {
  for (const TypePair& pair : kTypes) {
    if (pair.type == type) return pair.stored;
  }
  fail(ErrorKind::kFormat, "[tensor_file] a tensor's type must be one that safetensors can hold, got {}",
       at::toString(type));
}

at::Tensor tensor_view(const io::StoredTensor& stored) {
  const auto options = at::TensorOptions().dtype(scalar_type(stored.dtype));
  if (stored.bytes.empty()) return at::empty(stored.shape, options);
  // from_blob wants a mutable pointer; the map is read-only and writing to the view faults.
  void* data = const_cast<std::byte*>(stored.bytes.data());
  const auto address = reinterpret_cast<uintptr_t>(data);
  const bool aligned = address % static_cast<uintptr_t>(io::element_size(stored.dtype)) == 0;
  if (aligned)
    return at::from_blob(
        data, stored.shape, [file = stored.file](void*) {}, options);
  at::Tensor copy = at::empty(stored.shape, options);
  std::copy(stored.bytes.begin(), stored.bytes.end(), static_cast<std::byte*>(copy.mutable_data_ptr()));
  return copy;
}

at::Tensor tensor_copy(const io::StoredTensor& stored, at::ScalarType dtype, at::Device device) {
  return tensor_view(stored).to(device, dtype, /*non_blocking=*/false, /*copy=*/true);
}

void save_tensors(const std::filesystem::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<at::Tensor> dense;  // keeps the bytes alive
  std::vector<io::TensorToWrite> stored;
  for (const auto& [name, tensor] : tensors) {
    dense.push_back(tensor.detach().cpu().contiguous());
    const at::Tensor& t = dense.back();
    stored.push_back({name,
                      dtype_of(t.scalar_type()),
                      t.sizes().vec(),
                      {static_cast<const std::byte*>(t.const_data_ptr()), static_cast<size_t>(t.nbytes())}});
  }
  io::write_safetensors(path, std::move(stored), metadata);
}

}  // namespace morex::nn
