// morex inspect data: what the rows of a training file become, and how long they are.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/recipe_input.h"
#include "data/batch.h"
#include "data/dataset.h"

namespace morex::cli {

namespace {

struct InspectDataOptions {
  std::string file, recipe;
  std::vector<std::string> overrides;
  ModelArguments model;
  data::DatasetOptions data;
  int64_t rows = 2, batch_size = 8;
  bool group_by_length = true, json = false;
  uint64_t seed = 42;
};

// Supervised tokens stand out: in green on a terminal, else between marks.
struct Marks {
  std::string begin, end;
};

Marks marks() { return stdout_is_terminal() ? Marks{"\033[32m", "\033[0m"} : Marks{"⟦", "⟧"}; }

// The decoded example with every supervised stretch marked.
std::string marked_text(const data::Example& example, const text::Tokenizer& tokenizer) {
  const Marks mark = marks();
  std::string out;
  for (size_t begin = 0; begin < example.ids.size();) {
    const bool supervised = example.labels[begin] != data::kIgnoreLabel;
    size_t end = begin;
    while (end < example.ids.size() && (example.labels[end] != data::kIgnoreLabel) == supervised) ++end;
    const std::string piece = tokenizer.decode(std::span(example.ids).subspan(begin, end - begin), false);
    out += supervised ? mark.begin + piece + mark.end : piece;
    begin = end;
  }
  return out;
}

OrderedJson describe_lengths(const std::vector<data::Example>& examples) {
  std::vector<int64_t> lengths;
  for (const data::Example& example : examples) lengths.push_back(example.length());
  std::sort(lengths.begin(), lengths.end());
  const auto quantile = [&lengths](double q) {
    return lengths[static_cast<size_t>(q * static_cast<double>(lengths.size() - 1))];
  };
  return {
      {"shortest", lengths.front()}, {"median", quantile(0.5)}, {"p90", quantile(0.9)}, {"longest", lengths.back()}};
}

struct Bin {
  int64_t from = 0, to = 0, count = 0;
};

// Ten bins of equal width between the shortest and the longest example.
std::vector<Bin> histogram(const std::vector<data::Example>& examples) {
  constexpr int64_t kBins = 10;
  int64_t low = examples.front().length(), high = low;
  for (const data::Example& example : examples) {
    low = std::min(low, example.length());
    high = std::max(high, example.length());
  }
  const int64_t width = (high - low) / kBins + 1;
  std::vector<Bin> bins;
  for (int64_t from = low; from <= high; from += width) bins.push_back({from, std::min(from + width - 1, high), 0});
  for (const data::Example& example : examples) bins[static_cast<size_t>((example.length() - low) / width)].count += 1;
  return bins;
}

// The share of the first epoch's grid positions that hold no token.
double padded_share(const std::vector<data::Example>& examples, const InspectDataOptions& options) {
  const data::BatchPlanOptions plan{options.batch_size, options.group_by_length, true, options.seed};
  int64_t positions = 0, tokens = 0;
  for (const std::vector<int64_t>& rows : data::plan_epoch(examples, plan, 0)) {
    const data::Batch batch = data::make_batch(examples, rows, 0);
    positions += batch.rows * batch.length;
    tokens += batch.tokens();
  }
  return positions == 0 ? 0.0 : 1.0 - static_cast<double>(tokens) / static_cast<double>(positions);
}

OrderedJson describe_example(const data::Example& example, const text::Tokenizer& tokenizer) {
  return {{"line", example.line},
          {"tokens", example.length()},
          {"supervised", example.supervised()},
          {"cut_tokens", example.cut_tokens},
          {"prompt", example.prompt_text},
          {"text", tokenizer.decode(example.ids, false)},
          {"ids", example.ids},
          {"labels", example.labels}};
}

void print_example(const data::Example& example, const text::Tokenizer& tokenizer) {
  fmt::print("line {}: {} tokens, {} supervised{}\n{}\n", example.line, example.length(), example.supervised(),
             example.cut_tokens > 0 ? fmt::format(", {} cut off", example.cut_tokens) : "",
             marked_text(example, tokenizer));
  const Marks mark = marks();
  std::string ids;
  for (size_t i = 0; i < example.ids.size(); ++i) {
    const bool supervised = example.labels[i] != data::kIgnoreLabel;
    ids += fmt::format("{}{}{}{}", i == 0 ? "" : " ", supervised ? mark.begin : "", example.ids[i],
                       supervised ? mark.end : "");
  }
  fmt::print("ids: {}\n\n", ids);
}

void print_summary(const OrderedJson& report, const std::vector<data::Example>& examples) {
  const auto number = [&report](const char* name) { return with_thousands(report[name].get<int64_t>()); };
  const OrderedJson& lengths = report["lengths"];
  fmt::print("{}", aligned_pairs({
                       {"rows", number("rows")},
                       {"examples", number("examples")},
                       {"left out", number("fully_masked") + " without a supervised token"},
                       {"truncated", fmt::format("{} rows, {} tokens cut", number("truncated"), number("cut_tokens"))},
                       {"tokens", fmt::format("{}, {} of them supervised", number("tokens"), number("supervised"))},
                       {"length", fmt::format("{} … {}, median {}, 90 % at most {}", lengths["shortest"].get<int64_t>(),
                                              lengths["longest"].get<int64_t>(), lengths["median"].get<int64_t>(),
                                              lengths["p90"].get<int64_t>())},
                       {"padded share", fmt::format("{:.1f} %", 100 * report["padded_share"].get<double>())},
                   }));
  const std::vector<Bin> bins = histogram(examples);
  int64_t most = 1;
  for (const Bin& bin : bins) most = std::max(most, bin.count);
  constexpr int64_t kWidest = 40;
  for (const Bin& bin : bins) {
    const auto width = static_cast<size_t>((bin.count * kWidest + most - 1) / most);
    fmt::print("{:>6} … {:<6} {:>7}  {}\n", bin.from, bin.to, bin.count, std::string(width, '#'));
  }
}

void take_from_recipe(InspectDataOptions& options) {
  const train::Recipe recipe = read_partial_recipe(options.recipe, options.overrides);
  options.data = recipe.data;
  options.batch_size = recipe.per_device_train_batch_size;
  options.group_by_length = recipe.group_by_length;
  options.seed = recipe.seed;
  if (options.file.empty()) options.file = recipe.train_file;
  if (options.model.model.empty()) options.model.model = recipe.model_name_or_path;
  if (options.model.tokenizer.empty()) options.model.tokenizer = recipe.tokenizer_name_or_path;
}

void run(InspectDataOptions options, const Globals& globals) {
  Warnings warnings = globals.make_warnings();
  if (!options.recipe.empty()) take_from_recipe(options);
  MOREX_CHECK(!options.file.empty(), ErrorKind::kConfig, "inspect data needs --file, or a --recipe with train_file");
  MOREX_CHECK(!options.model.model.empty() || !options.model.tokenizer.empty(), ErrorKind::kConfig,
              "inspect data needs --model or --tokenizer, or a --recipe with model_name_or_path");
  const auto tokenizer = load_tokenizer(options.model);
  const data::Dataset dataset = data::load_dataset(options.file, *tokenizer, options.data, warnings);
  const data::DatasetReport& counts = dataset.report;
  OrderedJson report = {{"file", options.file},
                        {"digest", counts.digest},
                        {"rows", counts.rows},
                        {"examples", dataset.examples.size()},
                        {"fully_masked", counts.fully_masked},
                        {"truncated", counts.truncated},
                        {"cut_tokens", counts.cut_tokens},
                        {"tokens", counts.tokens},
                        {"supervised", counts.supervised},
                        {"lengths", describe_lengths(dataset.examples)},
                        {"padded_share", padded_share(dataset.examples, options)}};
  const auto shown =
      static_cast<size_t>(std::min<int64_t>(options.rows, static_cast<int64_t>(dataset.examples.size())));
  if (options.json) {
    report["histogram"] = OrderedJson::array();
    for (const Bin& bin : histogram(dataset.examples)) {
      report["histogram"].push_back({{"from", bin.from}, {"to", bin.to}, {"count", bin.count}});
    }
    report["shown"] = OrderedJson::array();
    for (size_t i = 0; i < shown; ++i) report["shown"].push_back(describe_example(dataset.examples[i], *tokenizer));
    report["warnings"] = warnings.messages();
    return print_json(report);
  }
  for (size_t i = 0; i < shown; ++i) print_example(dataset.examples[i], *tokenizer);
  print_summary(report, dataset.examples);
}

}  // namespace

void add_inspect_data(Command inspect, Globals& globals) {
  const auto options = std::make_shared<InspectDataOptions>();
  Command command = inspect.subcommand("data", "What the rows of a training file become, and how long they are");
  command.option("--file", options->file, "JSON Lines file (default: the recipe's train_file)");
  const Option recipe = command.option("--recipe", options->recipe, "Take model, file and data options from a recipe");
  command.option("overrides", options->overrides, "With --recipe: key=value");
  command.option("--model", options->model.model, "Model whose tokenizer to use");
  command.option("--tokenizer", options->model.tokenizer, "Tokenizer folder or file instead of the model's own");
  command.option("--max-seq-length", options->data.max_seq_length, "Longest example in tokens")
      .show_default()
      .excludes(recipe);
  command.option("--rows", options->rows, "How many examples to show").show_default();
  command.flag("--json", options->json, "Print JSON");
  command.on_chosen([options, &globals] { globals.action = [options, &globals] { run(*options, globals); }; });
}

}  // namespace morex::cli
