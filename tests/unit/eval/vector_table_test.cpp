// Files of vectors that belong to the rows of data.
#include "eval/vector_table.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/files.h"
#include "eval/clusters.h"
#include "nn/tensor_file.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

namespace fs = std::filesystem;

class VectorFiles : public testing::Test {
 protected:
  void SetUp() override { folder_ = scratch_dir("vectors"); }

  fs::path rows(int64_t count) {
    const fs::path path = folder_ / ("rows" + std::to_string(count) + ".jsonl");
    std::string text;
    for (int64_t i = 0; i < count; ++i) text += "{\"prompt\": \"a\", \"completion\": \"b\"}\n";
    write_text_file(path, text);
    return path;
  }
  fs::path save(const std::string& name, const at::Tensor& tensor) {
    nn::save_tensors(folder_ / name, {{"embeddings", tensor}});
    return folder_ / name;
  }
  // The same as .npy, float32.
  fs::path save_npy(const at::Tensor& tensor) {
    const at::Tensor values = tensor.to(at::kFloat).contiguous();
    const std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}\n",
                                           values.size(0), values.size(1));
    std::ofstream out(folder_ / "v.npy", std::ios::binary);
    const auto size = static_cast<uint16_t>(header.size());
    out << "\x93NUMPY" << '\1' << '\0';
    out.write(reinterpret_cast<const char*>(&size), 2);
    out << header;
    out.write(static_cast<const char*>(values.const_data_ptr()), static_cast<std::streamsize>(values.nbytes()));
    return folder_ / "v.npy";
  }
  static nn::Prompt prompt(int64_t file, int64_t row) {
    SequenceFacts facts;
    facts.file = file;
    facts.row = row;
    return {{}, facts};
  }
  static void refused(const std::vector<eval::GivenVectors>& files, ErrorKind kind, const char* what) {
    try {
      const eval::VectorTable table(files);
      FAIL() << what;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
    }
  }

  fs::path folder_;
  at::Tensor six_ = at::arange(1, 7, at::kDouble).view({3, 2});
};

TEST_F(VectorFiles, A_row_has_the_vector_of_its_number_at_length_one) {
  const eval::VectorTable table(
      {{save("a.safetensors", six_), rows(3)}, {save_npy(six_.neg().slice(0, 0, 2)), rows(2)}});
  EXPECT_EQ(table.identity().kind, "vectors");
  EXPECT_EQ(table.identity().width, 2);
  EXPECT_TRUE(near(table.embed(prompt(0, 2)), six_[2] / six_[2].norm(), 1e-12));
  EXPECT_TRUE(near(table.embed(prompt(1, 0)), -six_[0] / six_[0].norm(), 1e-12));
  EXPECT_NE(table.key(prompt(0, 1)), table.key(prompt(1, 1)));
}

TEST_F(VectorFiles, Half_precision_is_read_too) {
  const eval::VectorTable table({{save("h.safetensors", six_.to(at::kHalf)), rows(3)}});
  EXPECT_TRUE(near(table.embed(prompt(0, 0)), six_[0] / six_[0].norm(), 1e-12));
}

TEST_F(VectorFiles, A_prompt_of_no_row_is_refused) {
  const eval::VectorTable table({{save("a.safetensors", six_), rows(3)}});
  for (const auto& [file, row] : std::vector<std::pair<int64_t, int64_t>>{{0, -1}, {0, 3}, {1, 0}}) try {
      table.embed(prompt(file, row));
      FAIL() << file << row;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData);
      EXPECT_NE(std::string(error.what()).find("a.safetensors"), std::string::npos);
    }
}

TEST_F(VectorFiles, Files_that_do_not_fit_are_refused) {
  const fs::path good = save("a.safetensors", six_);
  refused({{good, rows(4)}}, ErrorKind::kData, "each of the 4 rows");
  refused({{good, folder_ / "none.jsonl"}}, ErrorKind::kData, "none.jsonl");
  refused({{good, rows(3)}, {save("w.safetensors", at::zeros({3, 4})), rows(3)}}, ErrorKind::kFormat, "as wide as");
  refused({{save("one.safetensors", at::zeros({3})), rows(3)}}, ErrorKind::kFormat, "[rows, width]");
  refused({{save("int.safetensors", at::zeros({3, 2}, at::kLong)), rows(3)}}, ErrorKind::kFormat, "floating-point");
  refused({{save("nan.safetensors", six_ / 0.0), rows(3)}}, ErrorKind::kFormat, "finite");
  nn::save_tensors(folder_ / "two.safetensors", {{"a", six_}, {"b", six_}});
  refused({{folder_ / "two.safetensors", rows(3)}}, ErrorKind::kFormat, "one tensor");
  refused({{folder_ / "none.safetensors", rows(3)}}, ErrorKind::kFormat, "none.safetensors");
  write_text_file(folder_ / "bad.npy", "hello");
  refused({{folder_ / "bad.npy", rows(3)}}, ErrorKind::kFormat, "bad.npy");
}

}  // namespace
}  // namespace morex::test
