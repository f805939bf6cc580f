// The prompts of a batch, for whoever must know more of them than their ids.
#pragma once
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/example.h"
#include "nn/prompt_reader.h"
#include "nn/task_table.h"

namespace morex::eval {

nn::Prompt prompt_of(const data::Example& example);
std::vector<nn::Prompt> prompts_of(const data::Batch& batch);

// Throws Error(kData) naming line and column for an example whose task the table does not know.
void check_tasks(const std::vector<data::Example>& examples, const nn::TaskTable& table, const std::string& file,
                 const std::string& column);

}  // namespace morex::eval
