#include "eval/exact_match.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/files.h"
#include "base/strings.h"
#include "data/dataset.h"
#include "eval/generate_batch.h"
#include "io/jsonl.h"

namespace morex::eval {
namespace {

struct Item {
  std::string prompt, reference;
  std::vector<int64_t> prompt_ids;
  SequenceFacts facts;
  int64_t reference_ids = 0;
};

std::vector<std::string> task_names(const TaskOptions& options) {
  if (options.tasks != std::vector<std::string>{"all"}) return options.tasks;
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options.data_dir, error)) {
    if (entry.path().extension() == ".jsonl") names.push_back(entry.path().stem().string());
  }
  MOREX_CHECK(!names.empty(), ErrorKind::kData, "[eval] {} must hold .jsonl files, found none",
              options.data_dir.string());
  std::sort(names.begin(), names.end());
  return names;
}

Item make_item(const data::Example& example, const text::Tokenizer& tokenizer) {
  size_t begin = 0;
  while (begin < example.labels.size() && example.labels[begin] == data::kIgnoreLabel) ++begin;
  size_t end = begin;
  while (end < example.labels.size() && example.labels[end] != data::kIgnoreLabel) ++end;
  Item item;
  item.prompt_ids.assign(example.ids.begin(), example.ids.begin() + static_cast<int64_t>(begin));
  const std::span<const int64_t> answer(example.ids.data() + begin, end - begin);
  item.reference = trim(tokenizer.decode(answer, true));
  item.reference_ids = static_cast<int64_t>(answer.size());
  item.prompt = tokenizer.decode(item.prompt_ids, false);
  item.facts = example.facts;
  return item;
}

std::vector<Item> load_items(const std::string& task, const text::Tokenizer& tokenizer, const TaskOptions& options,
                             int64_t positions) {
  const std::filesystem::path file = task_data_file(options, task);
  data::DatasetOptions format;
  format.max_seq_length = positions;
  format.wants_task = !options.task_column.empty();
  if (format.wants_task) format.task_column = options.task_column;
  format.fixed_task = options.task;
  format.fallback_task = task;
  io::JsonlReader reader(file);
  std::vector<Item> items;
  Json row;
  while ((options.limit < 0 || static_cast<int64_t>(items.size()) < options.limit) && reader.next(row)) {
    const std::string where = fmt::format("{}:{}", file.string(), reader.line_number());
    const data::Example example = data::encode_row(row, tokenizer, format, where);
    items.push_back(make_item(example, tokenizer));
    items.back().facts.row = static_cast<int64_t>(items.size()) - 1;
    MOREX_CHECK(items.back().reference_ids > 0 && !items.back().prompt_ids.empty(), ErrorKind::kData,
                "[{}] must hold a prompt and an answer", where);
  }
  MOREX_CHECK(!items.empty(), ErrorKind::kData, "[{}] holds no rows", file.string());
  return items;
}

}  // namespace

Json run_exact_match(const models::CausalLm& model, const text::Tokenizer& tokenizer, const TaskOptions& options,
                     const std::function<void(const std::string&, int64_t, int64_t)>& progress) {
  MOREX_CHECK(options.num_fewshot == 0, ErrorKind::kConfig, "[eval] protocol {} knows no few-shot examples, got {}",
              kExactMatchProtocol, options.num_fewshot);
  Json results = Json::object();
  std::string samples;
  for (const std::string& task : task_names(options)) {
    const std::vector<Item> items = load_items(task, tokenizer, options, model.config().max_position_embeddings);
    std::vector<nn::Prompt> prompts;
    BatchGenerationOptions generation;
    generation.max_new_tokens = 0;
    generation.pad_id = tokenizer.pad_id().value_or(0);
    if (tokenizer.eos_id()) generation.stop_ids = {*tokenizer.eos_id()};
    for (const Item& item : items) {
      prompts.emplace_back(item.prompt_ids, item.facts);
      generation.max_new_tokens = std::max(generation.max_new_tokens, item.reference_ids + 8);
    }
    const auto answers = generate_batch(model, prompts, generation, [&](int64_t done, int64_t total) {
      if (progress) progress(task, done, total);
    });
    int64_t correct = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      const std::string answer(trim(tokenizer.decode(answers[i], true)));
      const bool equal = answer == items[i].reference;
      correct += equal ? 1 : 0;
      samples +=
          Json{{"task", task},     {"index", i},      {"prompt", items[i].prompt}, {"reference", items[i].reference},
               {"answer", answer}, {"correct", equal}}
              .dump(-1, ' ', false, Json::error_handler_t::replace) +
          "\n";
    }
    const double n = static_cast<double>(items.size()), acc = static_cast<double>(correct) / n;
    results[task] = {
        {"n", items.size()}, {"acc", acc}, {"acc_stderr", n > 1 ? std::sqrt(acc * (1 - acc) / (n - 1)) : 0.0}};
  }
  Json output = {{"protocol", kExactMatchProtocol}, {"version", kExactMatchVersion}, {"tasks", results}};
  if (!options.samples_file.empty()) {
    write_text_file(options.samples_file, samples);
    output["samples"] = options.samples_file.string();
  }
  return output;
}

}  // namespace morex::eval
