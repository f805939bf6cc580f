#include "nn/tensor_file.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scalar_tensor.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

TEST(TensorFile, EveryTypeSurvivesTheRoundTrip) {
  const std::filesystem::path path = scratch_dir("tensor_file") / "all.safetensors";
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  const at::Tensor numbers = at::arange(12, at::kDouble).view({3, 4});
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
                                    at::kChar, at::kByte, at::kBool, at::kUInt16, at::kUInt32, at::kUInt64}) {
    tensors.emplace_back(at::toString(type), numbers.to(type));
  }
  tensors.emplace_back("transposed", numbers.t());
  tensors.emplace_back("leaf", at::ones({2}, at::kFloat).requires_grad_(true));
  tensors.emplace_back("scalar", at::scalar_tensor(3.5));
  tensors.emplace_back("empty", at::empty({0, 4}, at::kFloat));
  nn::save_tensors(path, tensors, {{"format", "pt"}});

  const io::SafetensorsFile file = io::SafetensorsFile::open(path);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.tensors().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    SCOPED_TRACE(name);
    const at::Tensor view = nn::tensor_view(file.get(name));
    EXPECT_EQ(view.scalar_type(), tensor.scalar_type());
    EXPECT_TRUE(at::equal(view, tensor.detach()));
    EXPECT_EQ(nn::dtype_of(nn::scalar_type(file.get(name).dtype)), file.get(name).dtype);
  }
}

TEST(TensorFile, ViewIsTheMapItselfAndKeepsItAlive) {
  const std::filesystem::path path = scratch_dir("tensor_file_view") / "one.safetensors";
  nn::save_tensors(path, {{"a", at::arange(100, at::kFloat)}});
  at::Tensor view, copy;
  const std::byte* mapped = nullptr;
  {
    const io::SafetensorsFile file = io::SafetensorsFile::open(path);
    view = nn::tensor_view(file.get("a"));
    copy = nn::tensor_copy(file.get("a"), at::kFloat);
    mapped = file.get("a").bytes.data();
  }
  EXPECT_EQ(view.const_data_ptr(), static_cast<const void*>(mapped));
  EXPECT_NE(copy.const_data_ptr(), static_cast<const void*>(mapped));
  EXPECT_TRUE(at::equal(view, at::arange(100, at::kFloat)));
  EXPECT_EQ(nn::tensor_copy(io::SafetensorsFile::open(path).get("a"), at::kBFloat16).scalar_type(), at::kBFloat16);
}

TEST(TensorFile, MisalignedDataIsCopied) {
  const std::filesystem::path path = scratch_dir("tensor_file_misaligned") / "one.bin";
  std::ofstream(path, std::ios::binary) << std::string("x\0\0\x80\x3f", 5);  // 1.0f one byte into the file
  const auto map = MappedFile::open(path);
  const io::StoredTensor stored{"a", io::DType::kF32, {1}, map->bytes().subspan(1), map};
  const at::Tensor t = nn::tensor_view(stored);
  EXPECT_EQ(t.item<float>(), 1.0f);
  EXPECT_NE(t.const_data_ptr(), static_cast<const void*>(stored.bytes.data()));
}

TEST(TensorFile, TypesTheFormatCannotHoldAreRefused) { EXPECT_THROW(nn::dtype_of(at::kComplexFloat), Error); }

}  // namespace
}  // namespace morex::test
