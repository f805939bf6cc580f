#include "train/run_identity.h"

#include <torch/version.h>

#include "base/strings.h"
#include "base/system.h"

namespace morex::train {

Json run_identity(const Recipe& recipe, const Runtime& runtime, const InputDigests& digests) {
  Json resolved = recipe_to_json(recipe);
  resolved["dtype"] = runtime.dtype_name();
  resolved["device"] = runtime.device.str();
  return {{"recipe", resolved},
          {"digests",
           {{"base", digests.base},
            {"tokenizer", digests.tokenizer},
            {"data", digests.data},
            {"validation", digests.validation},
            {"data_order", digests.data_order},
            {"layout", digests.layout},
            {"embeddings", digests.embeddings}}},
          {"versions", {{"morex", MOREX_VERSION}, {"torch", TORCH_VERSION}}},
          {"threads", runtime.threads},
          {"cpu", cpu_features().model_name}};
}

void check_same_run(const Json& before, const Json& now, const std::string& checkpoint, Warnings& warnings) {
  std::vector<std::string> problems = result_differences(before.value("recipe", Json::object()), now.at("recipe"));
  const Json digests = before.value("digests", Json::object());
  const std::vector<std::pair<std::string, std::string>> inputs = {
      {"base", "model_name_or_path leads to another model"},
      {"tokenizer", "the tokenizer is another one"},
      {"data", "train_file has another content"},
      {"data_order", "the order of the data is another one"},
      {"layout", "the trainable tensors are others"},
      {"embeddings", "embeddings_file has another content"}};
  for (const auto& [key, problem] : inputs)
    if (digests.value(key, "") != now.at("digests").at(key)) problems.push_back(problem);
  MOREX_CHECK(problems.empty(), ErrorKind::kConfig,
              "[{}] belongs to another run: {}. Hint: undo the change, or start afresh without "
              "resume_from_checkpoint and with another output_dir.",
              checkpoint, join(problems, "; "));
  for (const char* key : {"versions", "threads", "cpu"})
    if (const Json was = before.value(key, Json()); was != now.at(key))
      warnings.add(fmt::format("resume_{}", key),
                   fmt::format("[{}] {}: was {}, is {}; the run goes on, but the result need not equal an "
                               "uninterrupted run's bit for bit",
                               checkpoint, key, was.dump(), now.at(key).dump()));
}

}  // namespace morex::train
