// The memory forecast against what a run really took.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "e2e/case_file.h"
#include "e2e/process.h"
#include "support/paths.h"

namespace morex::test {
namespace {

namespace fs = std::filesystem;

constexpr double kError = 0.1;

struct MemoryCase {
  const char* name;
  const char* options;  // of the recipe, as key=value
};

class MemoryForecast : public testing::TestWithParam<MemoryCase> {
 protected:
  void SetUp() override {
    if (!fs::exists(smollm2_gguf())) GTEST_SKIP() << smollm2_gguf() << " is not there";
    folder_ = scratch_dir("memory_forecast");
    std::ofstream(folder_ / "recipe.yaml") << "model_name_or_path: " << smollm2_gguf().string()
                                           << "\ntrain_file: " << case_variables().at("CASES") << "/train.jsonl\n"
                                           << "output_dir: out\nper_device_train_batch_size: 16\nmax_steps: 1\n";
  }
  void TearDown() override { fs::remove_all(folder_); }

  nlohmann::json json_of(const std::string& command) const {
    const CommandResult result = run_command(command, folder_);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out);
  }

  fs::path folder_;
};

TEST_P(MemoryForecast, Is_within_a_tenth_of_the_peak_of_a_real_run) {
  const std::string rest = std::string(" recipe.yaml --json ") + GetParam().options;
  const double expected = json_of("morex inspect memory --recipe" + rest).at("total_bytes").get<double>();
  const double peak = json_of("morex train -q" + rest).at("peak_memory_bytes").get<double>();
  EXPECT_NEAR(expected / peak, 1.0, kError);
}

INSTANTIATE_TEST_SUITE_P(
    Of, MemoryForecast,
    testing::Values(MemoryCase{"lora", "method=lora r=8 target_modules=all-linear dtype=float32"},
                    MemoryCase{"lora_recomputed",
                               "method=lora r=8 target_modules=all-linear dtype=float32 gradient_checkpointing=true"},
                    MemoryCase{"smore_bfloat16", "method=smore dtype=bfloat16"}),
    [](const auto& info) { return info.param.name; });

// In 8 bits a weight of the layers takes 1.0625 bytes: the peak of a run falls by what float32 takes more.
TEST(LoadIn8Bit, Lowers_the_peak_of_a_real_run_by_the_weights) {
  if (!std::filesystem::exists(smollm2_gguf())) GTEST_SKIP() << smollm2_gguf() << " is not there";
  constexpr double kLayerWeights = 106'168'320.0;  // SmolLM2-135M's projections
  const auto folder = scratch_dir("load_in_8bit_memory");
  std::ofstream(folder / "recipe.yaml") << "model_name_or_path: " << smollm2_gguf().string()
                                        << "\ntrain_file: " << case_variables().at("CASES") << "/train.jsonl\n"
                                        << "output_dir: out\nmethod: lora\nr: 8\ntarget_modules: all-linear\n"
                                        << "dtype: float32\nper_device_train_batch_size: 1\nmax_steps: 1\n";
  const auto peak = [&](const std::string& value) {
    const CommandResult run = run_command("morex train recipe.yaml -q --json load_in_8bit=" + value, folder);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return nlohmann::json::parse(run.out).at("peak_memory_bytes").get<double>();
  };
  const double saved = peak("false") - peak("true");
  EXPECT_GT(saved, 0.9 * kLayerWeights * (4.0 - 1.0625));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace morex::test
