// The memory forecast against what a run really took.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "e2e/case_file.h"
#include "e2e/process.h"
#include "support/paths.h"

namespace morex::test {
namespace {

// Allocators, thread stacks and buffers of the operations are not in the forecast's formula.
constexpr double kFactor = 1.2;

TEST(MemoryForecast, Is_near_the_peak_of_a_real_run) {
  if (!std::filesystem::exists(smollm2_gguf())) GTEST_SKIP() << smollm2_gguf() << " is not there";
  const auto folder = scratch_dir("memory_forecast");
  std::ofstream(folder / "recipe.yaml") << "model_name_or_path: " << smollm2_gguf().string()
                                        << "\ntrain_file: " << case_variables().at("CASES") << "/train.jsonl\n"
                                        << "output_dir: out\nmethod: lora\nr: 8\ntarget_modules: all-linear\n"
                                        << "dtype: float32\nper_device_train_batch_size: 16\nmax_steps: 1\n";
  const CommandResult forecast = run_command("morex inspect memory --recipe recipe.yaml --json", folder);
  const CommandResult run = run_command("morex train recipe.yaml -q --json", folder);
  ASSERT_EQ(forecast.exit_code, 0) << forecast.err;
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const double expected = nlohmann::json::parse(forecast.out).at("total_bytes").get<double>();
  const double peak = nlohmann::json::parse(run.out).at("peak_memory_bytes").get<double>();
  EXPECT_LT(expected, kFactor * peak);
  EXPECT_GT(expected, peak / kFactor);
  std::filesystem::remove_all(folder);
}

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
