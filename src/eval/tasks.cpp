#include "eval/tasks.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/checksum.h"
#include "base/files.h"
#include "base/strings.h"
#include "eval/choice_metrics.h"
#include "eval/choice_tasks.h"
#include "eval/exact_match.h"
#include "eval/fewshot.h"
#include "eval/requests.h"
#include "eval/scoring.h"

namespace morex::eval {
namespace {

constexpr const char* kProtocol = "lm-eval";
constexpr const char* kVersion = "0.4.13";  // of lm-evaluation-harness, whose rules these are

std::filesystem::path task_file(const ChoiceTask& task, const std::filesystem::path& folder) {
  const std::filesystem::path hub = folder / (std::string(task.name) + ".jsonl");
  if (std::filesystem::exists(hub)) return hub;
  const std::filesystem::path local = folder / task.local_file;
  MOREX_CHECK(std::filesystem::exists(local), ErrorKind::kData,
              "[eval] the data of task {} must be there, found neither {} nor {}", task.name, hub.string(),
              local.filename().string());
  return local;
}

struct Item {
  std::string context;
  std::vector<int64_t> fewshot_rows;
  ChoiceRequests requests;
  std::vector<double> log_likelihoods;
  std::vector<bool> greedy;
  Prediction prediction;

  int64_t cut_left() const {
    int64_t most = 0;
    for (const Request& request : requests.choices) most = std::max(most, request.cut_left);
    return most;
  }
  bool border_moved() const {
    return std::any_of(requests.choices.begin(), requests.choices.end(),
                       [](const Request& request) { return request.border_moved; });
  }
  bool empty_continuation() const {
    return std::any_of(requests.choices.begin(), requests.choices.end(),
                       [](const Request& request) { return request.continuation.empty(); });
  }
};

struct TaskData {
  std::filesystem::path file, pool_file;  // pool_file: empty at 0-shot
  std::vector<Document> documents, pool;
};

TaskData load_task(const ChoiceTask& task, const TaskOptions& options) {
  TaskData data;
  data.file = task_file(task, options.data_dir);
  data.documents = load_documents(task, data.file, options.limit);
  if (options.num_fewshot > 0) {
    data.pool_file = options.data_dir / (std::string(task.name) + ".pool.jsonl");
    data.pool = load_documents(task, data.pool_file);
  }
  return data;
}

std::vector<Item> make_items(const models::CausalLm& model, const text::Tokenizer& tokenizer, const ChoiceTask& task,
                             const TaskOptions& options, const TaskData& data) {
  const FewshotOptions fewshot{options.fewshot_sampler, options.num_fewshot, options.fewshot_seed};
  const std::vector<std::vector<int64_t>> rows = draw_fewshot_rows(task, fewshot, data.documents, data.pool);
  std::vector<Item> items(data.documents.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const Question& question = data.documents[i].question;
    items[i].fewshot_rows = rows[i];
    items[i].context = fewshot_context(data.pool, rows[i], question.context);
    items[i].requests =
        make_requests(tokenizer, items[i].context, question.choices, model.config().max_position_embeddings);
    SequenceFacts facts;
    facts.question = question.context;  // without solved examples
    facts.task = options.task.empty() ? task.name : options.task;
    facts.row = static_cast<int64_t>(i);
    for (Request& request : items[i].requests.choices) request.facts = facts;
  }
  return items;
}

void score_items(const models::CausalLm& model, const TaskData& data, int64_t tokens_per_batch,
                 std::vector<Item>& items, const std::function<void(int64_t, int64_t)>& progress) {
  std::vector<Request> requests;
  for (const Item& item : items) {
    requests.insert(requests.end(), item.requests.choices.begin(), item.requests.choices.end());
  }
  const std::vector<Score> scores = score_requests(model, requests, tokens_per_batch, progress);
  size_t next = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    for (size_t c = 0; c < items[i].requests.choices.size(); ++c) {
      items[i].log_likelihoods.push_back(scores[next].log_likelihood);
      items[i].greedy.push_back(scores[next++].greedy);
    }
    items[i].prediction = predict(data.documents[i].question.choices, items[i].log_likelihoods);
  }
}

std::string ids_digest(const std::vector<int64_t>& ids) {
  std::vector<std::string> decimal;
  for (const int64_t id : ids) decimal.push_back(std::to_string(id));
  return sha256_hex(join(decimal, ","));
}

Json sample_line(const ChoiceTask& task, int64_t index, const Document& document, const Item& item) {
  Json cont_ids = Json::array(), border_moved = Json::array();
  for (const Request& request : item.requests.choices) {
    cont_ids.push_back(request.continuation);
    border_moved.push_back(request.border_moved);
  }
  const int64_t gold = document.question.gold;
  return {{"task", task.name},
          {"doc", index},
          {"doc_sha256", sha256_hex(document.row.dump(-1, ' ', false, Json::error_handler_t::replace))},
          {"fewshot_rows", item.fewshot_rows},
          {"ctx_sha256", sha256_hex(item.context)},
          {"n_ctx", item.requests.context_ids.size()},
          {"ctx_ids_sha256", ids_digest(item.requests.context_ids)},
          {"cut_left", item.cut_left()},
          {"border_moved", border_moved},
          {"choices", document.question.choices},
          {"cont_ids", cont_ids},
          {"ll", item.log_likelihoods},
          {"greedy", item.greedy},
          {"gold", gold},
          {"pred", item.prediction.pred},
          {"pred_norm", item.prediction.pred_norm},
          {"pred_bytes", item.prediction.pred_bytes},
          {"acc", item.prediction.pred == gold},
          {"acc_norm", item.prediction.pred_norm == gold},
          {"acc_bytes", item.prediction.pred_bytes == gold}};
}

void put_mean(Json& result, const std::string& name, const TaskData& data, const std::vector<Item>& items,
              int64_t Prediction::*which) {
  std::vector<double> hits;
  for (size_t i = 0; i < items.size(); ++i) {
    hits.push_back(items[i].prediction.*which == data.documents[i].question.gold ? 1.0 : 0.0);
  }
  const MeanScore score = mean_score(hits);
  result[name] = score.mean;
  result[name + "_stderr"] = std::isnan(score.standard_error) ? Json() : Json(score.standard_error);
}

Json task_result(const ChoiceTask& task, const TaskOptions& options, const TaskData& data,
                 const std::vector<Item>& items) {
  Json result = {{"n", items.size()}};
  put_mean(result, "acc", data, items, &Prediction::pred);
  put_mean(result, "acc_norm", data, items, &Prediction::pred_norm);
  put_mean(result, "acc_bytes", data, items, &Prediction::pred_bytes);
  double gold_sum = 0;
  for (size_t i = 0; i < items.size(); ++i) gold_sum += items[i].log_likelihoods[data.documents[i].question.gold];
  result["mean_gold_ll"] = gold_sum / static_cast<double>(items.size());
  const auto count = [&](bool (Item::*property)() const) {
    return std::count_if(items.begin(), items.end(), [&](const Item& item) { return (item.*property)(); });
  };
  result["items_cut_left"] = std::count_if(items.begin(), items.end(), [](const Item& i) { return i.cut_left() > 0; });
  result["items_border_moved"] = count(&Item::border_moved);
  result["items_with_empty_continuation"] = count(&Item::empty_continuation);
  result["task_version"] = *task.version == '\0' ? Json() : Json(task.version);
  result["prompt"] = task.prompt;
  result["file"] = data.file.filename().string();
  result["file_sha256"] = sha256_hex_of_file(data.file);
  result["num_fewshot"] = options.num_fewshot;
  if (options.num_fewshot > 0) {
    result["fewshot_sampler"] = options.fewshot_sampler;
    result["fewshot_seed"] = options.fewshot_seed;
    result["pool_file_sha256"] = sha256_hex_of_file(data.pool_file);
  }
  return result;
}

// What the harness does without a word, said.
void warn(const std::string& task, const Json& result, Warnings& warnings) {
  const auto say = [&](const char* count, const char* what) {
    const auto n = result.at(count).get<int64_t>();
    if (n > 0)
      warnings.add(std::string("eval.") + count + "." + task,
                   fmt::format("{}: {} of {} items {}", task, n, result.at("n").get<int64_t>(), what));
  };
  say("items_cut_left", "were longer than the model's positions and lost their beginning");
  say("items_border_moved", "have a context whose last piece changes once the choice follows (lm-eval scores them so)");
  say("items_with_empty_continuation", "have a choice without ids of its own, which lm-eval lets win");
}

void check_options(const TaskOptions& options) {
  known_tasks(options.protocol);
  MOREX_CHECK(!options.tasks.empty(), ErrorKind::kConfig, "[eval] at least one task must be named, got none");
  MOREX_CHECK(options.limit != 0, ErrorKind::kConfig, "[eval] limit must be positive or -1, got 0");
  if (options.protocol == kProtocol) {
    for (const std::string& name : options.tasks) find_choice_task(name);
  }
}

}  // namespace

std::vector<std::string> known_tasks(const std::string& protocol) {
  if (protocol == kExactMatchProtocol) return {};
  const std::vector<std::string> protocols = {kProtocol, kExactMatchProtocol};
  MOREX_CHECK(protocol == kProtocol, ErrorKind::kConfig, "[eval] the protocol must be one of {}, got '{}'.{}",
              join(protocols, ", "), protocol, did_you_mean(protocol, protocols));
  std::vector<std::string> names;
  for (const ChoiceTask& task : choice_tasks()) names.emplace_back(task.name);
  return names;
}

std::filesystem::path task_data_file(const TaskOptions& options, const std::string& task) {
  if (options.protocol != kExactMatchProtocol) return task_file(find_choice_task(task), options.data_dir);
  const std::filesystem::path file = options.data_dir / (task + ".jsonl");
  MOREX_CHECK(std::filesystem::exists(file), ErrorKind::kData, "[eval] the data of task {} must be in {}", task,
              file.string());
  return file;
}

Json run_tasks(const models::CausalLm& model, const text::Tokenizer& tokenizer, const TaskOptions& options,
               Warnings& warnings, const std::function<void(const std::string&, int64_t, int64_t)>& progress) {
  check_options(options);
  if (options.protocol == kExactMatchProtocol) return run_exact_match(model, tokenizer, options, progress);
  Json result = {{"protocol", kProtocol}, {"version", kVersion}, {"tasks", Json::object()}, {"samples", Json()}};
  std::optional<AtomicFile> samples;
  if (!options.samples_file.empty()) {
    samples.emplace(options.samples_file);
    result["samples"] = options.samples_file.string();
  }
  for (const std::string& name : options.tasks) {
    const ChoiceTask& task = find_choice_task(name);
    const TaskData data = load_task(task, options);
    std::vector<Item> items = make_items(model, tokenizer, task, options, data);
    score_items(model, data, options.tokens_per_batch, items, [&](int64_t done, int64_t total) {
      if (progress) progress(name, done, total);
    });
    result["tasks"][name] = task_result(task, options, data, items);
    warn(name, result["tasks"][name], warnings);
    for (size_t i = 0; samples && i < items.size(); ++i) {
      const Json line = sample_line(task, static_cast<int64_t>(i), data.documents[i], items[i]);
      samples->write(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    }
  }
  if (samples) samples->commit();
  return result;
}

}  // namespace morex::eval
