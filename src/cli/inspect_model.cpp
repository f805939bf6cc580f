// morex inspect model: configuration, size and tensors of a model; --check loads it as training would.
#include <fmt/core.h>

#include <filesystem>
#include <map>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/options.h"
#include "cli/output.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "models/causal_lm.h"
#include "train/runtime.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

struct InspectModelOptions {
  ModelArguments model;
  bool check = false, tensors = false, json = false;
};

struct TensorRow {
  std::string name, dtype;
  std::vector<int64_t> shape;
  int64_t elements = 0, bytes = 0;
};

int64_t element_count(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::vector<TensorRow> stored_tensors(const fs::path& path) {
  std::vector<TensorRow> rows;
  if (!fs::is_directory(path)) {
    const auto file = io::GgufFile::open(path);
    for (const io::GgufTensor& tensor : file->tensors()) {
      rows.push_back({tensor.name, tensor.type.name, tensor.shape, element_count(tensor.shape),
                      static_cast<int64_t>(tensor.bytes.size())});
    }
    return rows;
  }
  const io::SafetensorsFolder folder = io::SafetensorsFolder::open(path);
  for (const std::string& name : folder.names()) {
    const io::StoredTensor& tensor = *folder.find(name);
    rows.push_back({name, std::string(io::name(tensor.dtype)), tensor.shape, element_count(tensor.shape),
                    static_cast<int64_t>(tensor.bytes.size())});
  }
  return rows;
}

OrderedJson describe_config(const models::ModelConfig& config) {
  return {{"model_type", config.model_type},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_hidden_layers", config.num_hidden_layers},
          {"num_attention_heads", config.num_attention_heads},
          {"num_key_value_heads", config.num_key_value_heads},
          {"head_dim", config.head_dim},
          {"vocab_size", config.vocab_size},
          {"max_position_embeddings", config.max_position_embeddings},
          {"rope_theta", config.rope_theta},
          {"rope_scaling", config.rope_scaling.type},
          {"tie_word_embeddings", config.tie_word_embeddings},
          {"stored_dtype", config.stored_dtype}};
}

OrderedJson describe_tensors(const std::vector<TensorRow>& rows) {
  std::map<std::string, std::pair<int64_t, int64_t>> by_type;  // tensors, bytes
  int64_t parameters = 0, bytes = 0;
  for (const TensorRow& row : rows) {
    by_type[row.dtype].first += 1;
    by_type[row.dtype].second += row.bytes;
    parameters += row.elements;
    bytes += row.bytes;
  }
  OrderedJson types = OrderedJson::object();
  for (const auto& [name, counts] : by_type) types[name] = {{"tensors", counts.first}, {"bytes", counts.second}};
  return {{"parameters", parameters}, {"tensors", rows.size()}, {"bytes", bytes}, {"types", types}};
}

// What --check adds: every weight loaded, the tokenizer too where the model brings one.
OrderedJson check(const InspectModelOptions& options, int64_t threads, Warnings& warnings) {
  const LoadedModel loaded = load(options.model, threads, warnings, /*need_tokenizer=*/false);
  OrderedJson result = {
      {"check", "ok"}, {"dtype", train::dtype_name(loaded.model->dtype())}, {"digest", loaded.model->digest()}};
  if (loaded.tokenizer == nullptr) {
    result["tokenizer"] = nullptr;
    return result;
  }
  const text::Tokenizer& tokenizer = *loaded.tokenizer;
  result["tokenizer"] = {{"vocab_size", tokenizer.vocab_size()},
                         {"digest", tokenizer.digest()},
                         {"bos", tokenizer.special_tokens().bos},
                         {"eos", tokenizer.special_tokens().eos},
                         {"chat_template", !tokenizer.chat_template().empty()}};
  MOREX_CHECK(tokenizer.vocab_size() <= loaded.model->config().vocab_size, ErrorKind::kFormat,
              "[{}] the tokenizer must not have ids beyond the model's {} rows, got {}", options.model.model,
              loaded.model->config().vocab_size, tokenizer.vocab_size());
  return result;
}

std::string tokenizer_line(const OrderedJson& tokenizer) {
  if (tokenizer.is_null()) return "none";
  return fmt::format("{} ids, eos '{}', {}chat template", tokenizer["vocab_size"].get<int64_t>(),
                     tokenizer["eos"].get<std::string>(), tokenizer["chat_template"].get<bool>() ? "" : "no ");
}

void print_text(const OrderedJson& report) {
  std::vector<std::pair<std::string, std::string>> lines;
  const auto add = [&lines](const std::string& name, const OrderedJson& value) {
    lines.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  };
  add("model", report["model"]);
  for (const auto& [name, value] : report["config"].items()) add(name, value);
  const int64_t parameters = report["parameters"].get<int64_t>();
  lines.emplace_back("parameters", fmt::format("{} ({})", with_thousands(parameters), in_millions(parameters)));
  std::string types;
  for (const auto& [name, counts] : report["types"].items()) {
    types += fmt::format("{}{} {} ({})", types.empty() ? "" : ", ", counts["tensors"].get<int64_t>(), name,
                         format_bytes(counts["bytes"].get<double>()));
  }
  lines.emplace_back("tensors", types);
  for (const char* name : {"check", "dtype", "digest"}) {
    if (report.contains(name)) add(name, report[name]);
  }
  if (report.contains("tokenizer")) add("tokenizer", tokenizer_line(report["tokenizer"]));
  fmt::print("{}", aligned_pairs(lines));
}

void print_tensors(const std::vector<TensorRow>& rows) {
  Table table({"tensor", "type", "shape", "bytes"});
  for (const TensorRow& row : rows) {
    table.add({row.name, row.dtype, Json(row.shape).dump(), with_thousands(row.bytes)});
  }
  fmt::print("\n{}", table.text());
}

void run(const InspectModelOptions& options, const Globals& globals) {
  Warnings warnings = globals.make_warnings();
  OrderedJson report = {{"model", options.model.model}};
  report["config"] = describe_config(models::load_model_config(options.model.model, warnings));
  const std::vector<TensorRow> rows = stored_tensors(options.model.model);
  report.update(describe_tensors(rows));
  if (options.check) report.update(check(options, globals.threads, warnings));
  report["warnings"] = warnings.messages();
  if (options.json) {
    if (options.tensors) {
      for (const TensorRow& row : rows) report["tensor_list"][row.name] = {{"dtype", row.dtype}, {"shape", row.shape}};
    }
    print_json(report);
  } else {
    print_text(report);
    if (options.tensors) print_tensors(rows);
  }
}

}  // namespace

void add_inspect_model(Command inspect, Globals& globals) {
  const auto options = std::make_shared<InspectModelOptions>();
  Command command = inspect.subcommand("model", "A model's configuration, size and tensors");
  command.option("model", options->model.model, "Hugging Face folder or .gguf file").required();
  command.flag("--check", options->check, "Load everything as training would, with every check");
  command.option("--dtype", options->model.dtype, "With --check: load the weights as this type")
      .choices({"auto", "float32", "bfloat16", "float64"});
  command.flag("--tensors", options->tensors, "List the tensors");
  command.flag("--json", options->json, "Print JSON");
  command.on_chosen([options, &globals] { globals.action = [options, &globals] { run(*options, globals); }; });
}

}  // namespace morex::cli
