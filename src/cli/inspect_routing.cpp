// morex inspect routing: how an adapter routes given text, as one HTML page and as JSON.
#include <fmt/core.h>

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/options.h"
#include "cli/output.h"
#include "data/dataset.h"
#include "models/check_ids.h"
#include "report/routing_page.h"
#include "report/routing_trace.h"
#include "report/token_texts.h"

namespace morex::cli {

namespace {

struct InspectRoutingOptions {
  ModelArguments model;
  std::string prompt, data_file, output, json_file;
  data::DatasetOptions data;
  report::TraceOptions trace;
};

std::vector<report::TracedSequence> read_sequences(const InspectRoutingOptions& options,
                                                   const text::Tokenizer& tokenizer, Warnings& warnings) {
  std::vector<report::TracedSequence> sequences;
  if (options.data_file.empty()) {
    sequences.emplace_back();
    sequences.back().name = "the prompt";
    sequences.back().ids = tokenizer.encode(options.prompt, /*add_special_tokens=*/true);
    sequences.back().facts.question = options.prompt;
    sequences.back().facts.task = options.model.task;
    MOREX_CHECK(!sequences.back().ids.empty(), ErrorKind::kData, "the prompt must hold at least one token");
    return sequences;
  }
  for (data::Example& example : data::load_dataset(options.data_file, tokenizer, options.data, warnings).examples) {
    sequences.emplace_back();
    sequences.back().name = fmt::format("line {}", example.line);
    sequences.back().prompt_length = example.prompt_length;
    sequences.back().ids = std::move(example.ids);
    sequences.back().facts = std::move(example.facts);
  }
  return sequences;
}

void print_summary(const Json& report, const std::string& page) {
  const Json& summary = report["summary"];
  const auto value = [&](const char* name) {
    return summary[name].is_null() ? "unknown" : fmt::format("{:.3f}", summary[name].get<double>());
  };
  std::vector<std::pair<std::string, std::string>> lines = {
      {"tokens", with_thousands(report["tokens"].get<int64_t>())},
      {"gates", with_thousands(summary["gates"].get<int64_t>())},
      {"entropy", fmt::format("{} before the choice, {} after", value("entropy"), value("entropy_after"))},
      {"busiest expert", value("max_share") + " of its gate's choices"},
      {"dead experts",
       fmt::format("{} of {}", summary["dead_experts"].get<int64_t>(), summary["experts"].get<int64_t>())},
      {"similarity", value("similarity")}};
  if (!page.empty()) lines.emplace_back("page", page);
  fmt::print("{}", aligned_pairs(lines));
}

void run(const InspectRoutingOptions& options, const Globals& globals) {
  MOREX_CHECK(!options.model.adapter.empty(), ErrorKind::kConfig, "inspect routing needs --adapter");
  MOREX_CHECK(!options.output.empty() || !options.json_file.empty(), ErrorKind::kConfig,
              "inspect routing needs --output FILE.html, --json FILE, or both");
  Warnings warnings = globals.make_warnings();
  const LoadedModel loaded = load(options.model, globals.threads, warnings);
  std::vector<report::TracedSequence> sequences = read_sequences(options, *loaded.tokenizer, warnings);
  for (report::TracedSequence& sequence : sequences) {
    models::check_ids(sequence.ids, loaded.model->config(), sequence.name);
    sequence.texts = report::token_texts(loaded.tokenizer, sequence.ids);
  }

  Progress progress("routing", static_cast<int64_t>(sequences.size()), globals.quiet);
  const report::RoutingTrace trace =
      report::trace_routing(*loaded.model, *loaded.adapter, std::move(sequences), options.trace,
                            [&progress](int64_t done) { progress.update(done); });
  progress.finish();
  const auto name = [](const std::string& path) {
    const std::filesystem::path trimmed = std::filesystem::path(path).lexically_normal();
    return (trimmed.has_filename() ? trimmed : trimmed.parent_path()).filename().string();
  };
  const report::TraceLabels labels{name(options.model.adapter), name(options.model.model),
                                   options.data_file.empty() ? "a prompt" : name(options.data_file)};
  std::string written;
  if (!options.output.empty()) {
    const std::string page = report::routing_page(trace, labels);
    write_text_file(options.output, page);
    written = fmt::format("{}, {}", options.output, format_bytes(static_cast<double>(page.size())));
  }
  if (!options.json_file.empty()) {
    const Json all = report::describe_trace(trace, labels, {trace.shown, true}, report::plain_rows);
    write_text_file(options.json_file, all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  print_summary(report::describe_trace(trace, labels, {0, false}, report::plain_rows), written);
}

}  // namespace

void add_inspect_routing(Command inspect, Globals& globals) {
  const auto options = std::make_shared<InspectRoutingOptions>();
  options->data.max_rows = 16;
  options->data.train_on_inputs = true;  // rows without an answer are looked at, too
  Command command = inspect.subcommand("routing", "How an adapter routes given text, as one HTML page");
  add_model_options(command, options->model);
  Command input = command.option_group("input");
  input.option("--prompt", options->prompt, "Text to look at");
  input.option("--data", options->data_file, "JSON Lines of training rows to look at");
  input.require_one_option();
  command.option("--output", options->output, "HTML page to write; it needs nothing else");
  command.option("--json", options->json_file, "Write the numbers as JSON, every shown token's gates among them");
  command.option("--limit", options->data.max_rows, "First n rows of --data only").range(1, 1 << 24).show_default();
  command.option("--layer", options->trace.layer, "This decoder layer only (default: all)").range(0, 1 << 20);
  command.option("--shown-tokens", options->trace.shown_tokens, "Tokens shown one by one; the numbers count all")
      .range(1, 1 << 24)
      .show_default();
  command.option("--max-seq-length", options->data.max_seq_length, "Longest row of --data in tokens").show_default();
  command.on_chosen([options, &globals] { globals.action = [options, &globals] { run(*options, globals); }; });
}

}  // namespace morex::cli
