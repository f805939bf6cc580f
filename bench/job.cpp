// morex_bench job: what `morex train` would do with a recipe, for a peer that is to do the same.
//   recipe=FILE.json folder=DIR
// Writes DIR/batches.jsonl, a line a step: {"ids": [[…], …], "labels": [[…], …]}, the rows of that step's batch without
// padding; and DIR/adapter, the adapter that training starts from.
#include <fmt/core.h>

#include <filesystem>

#include "arguments.h"
#include "base/error.h"
#include "base/files.h"
#include "data/dataset.h"
#include "models/causal_lm.h"
#include "modes.h"
#include "text/tokenizer.h"
#include "train/batch_source.h"
#include "train/runtime.h"
#include "train/trainable.h"

namespace morex::bench {
namespace {

// Row `row` of a grid [rows, length], `count` numbers of it.
Json row_of(const std::vector<int64_t>& grid, int64_t row, int64_t length, int64_t count) {
  const auto begin = grid.begin() + row * length;
  return std::vector<int64_t>(begin, begin + count);
}

}  // namespace

void job_mode(const ModeArguments& given) {
  const Arguments arguments(given, {"recipe", "folder"});
  const std::string file = arguments.text("recipe");
  const std::filesystem::path folder = arguments.text("folder");
  const train::Recipe recipe = train::parse_recipe(parse_json(read_text_file(file, ErrorKind::kConfig), file));
  Warnings warnings;
  const train::Runtime runtime = train::resolve_runtime(recipe, warnings);
  const auto tokenizer = text::Tokenizer::load(recipe.model_name_or_path);
  const data::Dataset dataset = data::load_dataset(recipe.train_file, *tokenizer, recipe.data, warnings);
  train::BatchSource source(dataset.examples, recipe, /*pad_id=*/0);
  std::string lines;
  const int64_t steps = source.total_steps(recipe);
  for (int64_t step = 0; step < steps; ++step) {
    Json line = {{"ids", Json::array()}, {"labels", Json::array()}};
    const std::vector<data::Batch> window = source.window(step);
    MOREX_CHECK(window.size() == 1, ErrorKind::kConfig, "gradient_accumulation_steps must be 1 here");
    const data::Batch& batch = window.front();
    for (int64_t row = 0; row < batch.rows; ++row) {
      const int64_t count = batch.lengths[static_cast<size_t>(row)];
      line["ids"].push_back(row_of(batch.ids, row, batch.length, count));
      line["labels"].push_back(row_of(batch.labels, row, batch.length, count));
    }
    lines += line.dump() + "\n";
  }
  make_directories(folder);
  write_text_file(folder / "batches.jsonl", lines);
  const auto model = models::load_model(recipe.model_name_or_path, {runtime.dtype, runtime.device}, warnings);
  train::make_trainable(recipe, runtime, *model, warnings)->save(folder / "adapter");
  fmt::print("{}\n", Json{{"steps", steps}}.dump());
}

}  // namespace morex::bench
