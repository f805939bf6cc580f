// What decides a run's numbers, as JSON: for run.json, for checkpoints, and for refusing to resume another run.
#pragma once
#include <string>

#include "base/json.h"
#include "base/warnings.h"
#include "train/recipe.h"
#include "train/runtime.h"

namespace morex::train {

// SHA-256 digests of what the recipe's paths lead to.
struct InputDigests {
  std::string base, tokenizer, data, validation, data_order, layout, embeddings;
};

// {recipe (dtype and device resolved), digests, versions, threads, cpu}.
Json run_identity(const Recipe& recipe, const Runtime& runtime, const InputDigests& digests);

// Throws Error(kConfig) listing every difference that would change the result. Other software versions, another
// processor or another number of threads are warnings: the run goes on, but not bit for bit.
void check_same_run(const Json& before, const Json& now, const std::string& checkpoint, Warnings& warnings);

}  // namespace morex::train
