// golden/methods/model as folders of the methods' own projects: a folder with their keys and names gives the
// reference's logits.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "../models/model_runs.h"
#include "adapters/official_names.h"
#include "base/files.h"
#include "model_case.h"
#include "nn/tensor_file.h"
#include "support/golden_tensors.h"
#include "support/paths.h"
#include "training_run.h"

namespace morex::test {
namespace {

namespace fs = std::filesystem;

struct Project {
  std::string peft_type, prefix;  // prefix: of tensor names, in place of "model."
};

std::optional<Project> project_of(const std::string& method) {
  static const std::map<std::string, Project> projects = {{"smore", {"HIER_MOE", "base_model.model.model."}},
                                                          {"trex", {"LORA", "base_model.model.model."}},
                                                          {"mola", {"LORA", "base_model.model.model."}},
                                                          {"loramoe", {"LORA", "base_model.model.model."}},
                                                          {"hydralora", {"LORA", "base_model.model.model."}},
                                                          {"moslora", {"LORA", "base_model.model.model."}},
                                                          {"adamole", {"ADAMOLE", "base_model.model.model."}},
                                                          {"moelora", {"MMOELORA", "base_model.model.model."}},
                                                          {"mixlora", {"MIXLORA", "mixlora."}},
                                                          {"dynmole", {"DYNMOLE", "dynmole."}}};
  const auto found = projects.find(method);
  return found == projects.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> official_cases() {
  std::vector<std::string> cases;
  for (const std::string& name : golden_cases("methods/model", "")) {
    const Json config = read_json_file(golden_dir() / "methods" / "model" / name / "config.json");
    if (project_of(config.at("method"))) cases.push_back(name);
  }
  return cases;
}

// adapter_config.json as the project writes it: the case's keys are the project's own, but for what it does not save.
Json project_config(const ModelCaseFiles& files, int64_t layers) {
  const std::string method = files.config.at("method");
  Json config = files.config.at("config");
  if (method == "trex") {
    const auto ranks = config.at("rank_allocation").get<std::vector<int64_t>>();
    Json written = {{"r", ranks[0] * ranks[1]}, {"lora_alpha", 16}, {"lora_dropout", 0.0}};
    if (config.contains("ablation")) written["ablation"] = config["ablation"];
    config = written;
  }
  if (method == "mola")
    config = {{"r", std::vector<int64_t>(static_cast<size_t>(layers), config.at("r").get<int64_t>())},
              {"lora_alpha", config.at("lora_alpha")}};
  if (method == "moslora") config["lora_use_mixer"] = true;
  config.erase("aux_loss_coef");
  config["peft_type"] = project_of(method)->peft_type;
  config["target_modules"] = files.config.at("target_modules");
  config["base_model_name_or_path"] = "base";
  return config;
}

void write_folder(const fs::path& folder, const ModelCaseFiles& files, int64_t layers) {
  const std::string method = files.config.at("method"), model = "model.";
  const bool shared = files.config.at("config").value("is_shared_expert_pool", false);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const std::string& name : files.initial.names()) {
    // MoLA's cases have MoE-PEFT's names.
    const std::string own = method == "mola" ? adapters::official_name("mola", name) : name;
    const std::string official = project_of(method)->prefix + own.substr(model.size());
    tensors.emplace_back(official, files.initial.get(name));
    const bool pooled = official.ends_with("moe_A.0") || official.ends_with("moe_B.0") ||
                        official.ends_with("moe_A_bias.0") || official.ends_with("moe_B_bias.0");
    if (shared && pooled) tensors.emplace_back(official.substr(0, official.size() - 1) + "1", files.initial.get(name));
  }
  write_text_file(folder / "adapter_config.json", project_config(files, layers).dump());
  nn::save_tensors(folder / "adapter_model.safetensors", tensors);
}

class OfficialFolderGolden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { at::set_num_threads(1); }  // see method_model_test.cpp
};

TEST_P(OfficialFolderGolden, Gives_the_references_logits) {
  const ModelCaseFiles files(GetParam());
  const fs::path folder = scratch_dir("official_folder_golden");
  Warnings warnings(false, false);
  const auto model = models::load_model(golden_dir() / "methods" / "base", {at::kDouble, test_device()}, warnings);
  write_folder(folder, files, model->config().num_hidden_layers);
  const auto set = adapters::AdapterSet::load(folder, model->slots(), {"base", model->digest()}, at::kDouble,
                                              test_device(), warnings);
  EXPECT_EQ(set->parameters().parameter_count(), files.config.at("trainable_parameters").get<int64_t>());
  set->attach();
  const at::NoGradGuard guard;
  const at::Tensor ids = files.batch("input_ids", 0), mask = files.batch("attention_mask", 0);
  const nn::BatchContext ctx = files.context(0, at::kDouble);
  EXPECT_TRUE(near(all_logits(*model, ids, ctx), files.golden.get("f64.logits"), 1e-9, 0.0, mask));
  // What the files leave open is said, nothing else.
  for (const auto& [key, count] : warnings.counts())
    EXPECT_TRUE(key == "mola:top_k" || key == "ffn_experts:gates") << key;
}

INSTANTIATE_TEST_SUITE_P(Golden, OfficialFolderGolden, testing::ValuesIn(official_cases()),
                         [](const auto& info) { return info.param; });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OfficialFolderGolden);

TEST(OfficialFolderGoldenCases, Exist_where_the_folder_does) {
  if (!fs::exists(golden_dir() / "methods" / "model")) GTEST_SKIP() << "there is no methods/model in " << golden_dir();
  EXPECT_FALSE(official_cases().empty());
}

}  // namespace
}  // namespace morex::test
