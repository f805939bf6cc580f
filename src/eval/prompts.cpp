#include "eval/prompts.h"

#include <fmt/core.h>

namespace morex::eval {

nn::Prompt prompt_of(const data::Example& example) {
  return {{example.ids.begin(), example.ids.begin() + example.prompt_length}, example.facts};
}

std::vector<nn::Prompt> prompts_of(const data::Batch& batch) {
  std::vector<nn::Prompt> prompts;
  for (int64_t row = 0; row < batch.rows; ++row)
    prompts.emplace_back(batch.prompt(row), batch.facts[static_cast<size_t>(row)]);
  return prompts;
}

void check_tasks(const std::vector<data::Example>& examples, const nn::TaskTable& table, const std::string& file,
                 const std::string& column) {
  for (const data::Example& example : examples)
    table.id_of(example.facts.task, fmt::format("{}:{}: column '{}'", file, example.line, column), ErrorKind::kData);
}

}  // namespace morex::eval
