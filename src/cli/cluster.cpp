// morex cluster: makes a file of centroids from the prompts of a dataset, or shows what one holds.
#include <ATen/core/Tensor.h>
#include <ATen/ops/stack.h>
#include <fmt/core.h>

#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/options.h"
#include "cli/output.h"
#include "data/dataset.h"
#include "eval/clusters.h"
#include "eval/prompt_embedding.h"
#include "train/cluster_prompts.h"

namespace morex::cli {

namespace {

struct ClusterArguments {
  ModelArguments model;
  data::DatasetOptions data;
  eval::ClusterOptions clusters;
  std::string data_file, output, show;
  bool json = false;
};

OrderedJson describe(const eval::Clusters& clusters) {
  OrderedJson sets = OrderedJson::array();
  for (const eval::ClusterSet& set : clusters.sets) {
    OrderedJson rows = OrderedJson::array();
    const at::Tensor lengths = set.centroids.to(at::kDouble).square().sum(1).sqrt().contiguous();  // [K]
    for (size_t k = 0; k < set.sizes.size(); ++k)
      rows.push_back({{"cluster", k},
                      {"size", set.sizes[k]},
                      {"length", lengths.const_data_ptr<double>()[k]},
                      {"nearest", k < set.nearest.size() ? set.nearest[k] : std::vector<std::string>{}}});
    sets.push_back({{"count", set.centroids.size(0)}, {"clusters", rows}});
  }
  return {{"embedder", clusters.embedder},  {"base_digest", clusters.base_digest},
          {"width", clusters.mean.size(0)}, {"normalised", clusters.normalised},
          {"seed", clusters.seed},          {"sets", sets}};
}

// One line of a prompt: its end, where what is asked stands.
std::string last_words(std::string text) {
  constexpr size_t kShown = 72;
  for (char& c : text)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  if (text.size() <= kShown) return text;
  size_t begin = text.size() - kShown;
  while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) ++begin;
  return "…" + text.substr(begin);
}

void print_text(const OrderedJson& report) {
  fmt::print("{}", aligned_pairs({{"embedder", report["embedder"].get<std::string>()},
                                  {"width", report["width"].dump()},
                                  {"normalised", report["normalised"].dump()},
                                  {"seed", report["seed"].dump()}}));
  for (const OrderedJson& set : report["sets"]) {
    fmt::print("\n{} clusters\n", set["count"].dump());
    Table table({"cluster", "size", "length", "nearest prompts"});
    for (const OrderedJson& row : set["clusters"]) {
      const auto nearest = row["nearest"].get<std::vector<std::string>>();
      table.add({row["cluster"].dump(), row["size"].dump(), fmt::format("{:.3f}", row["length"].get<double>()),
                 nearest.empty() ? "" : last_words(nearest.front())});
      for (size_t i = 1; i < nearest.size(); ++i) table.add({"", "", "", last_words(nearest[i])});
    }
    fmt::print("{}", table.text());
  }
}

void check_arguments(const ClusterArguments& arguments) {
  if (!arguments.show.empty()) return;
  MOREX_CHECK(!arguments.model.model.empty() && !arguments.data_file.empty() && !arguments.output.empty(),
              ErrorKind::kConfig,
              "cluster needs --model, --data and --output to make a file, or --show FILE to look into one");
  for (const int64_t count : arguments.clusters.counts)
    MOREX_CHECK(count >= 1, ErrorKind::kConfig, "--clusters must be positive numbers, got {}", count);
}

eval::Clusters make(const ClusterArguments& arguments, const Globals& globals, Warnings& warnings) {
  const LoadedModel loaded = load(arguments.model, globals.threads, warnings);
  const data::Dataset dataset = data::load_dataset(arguments.data_file, *loaded.tokenizer, arguments.data, warnings);
  const train::ClusteredPrompts prompts = train::clustered_prompts(dataset.examples, arguments.clusters.seed);
  Progress progress("prompts", static_cast<int64_t>(prompts.ids.size()), globals.quiet);
  std::vector<at::Tensor> embeddings;
  for (const std::vector<int64_t>& prompt : prompts.ids) {
    embeddings.push_back(eval::embed_prompt(*loaded.model, prompt));
    progress.update(static_cast<int64_t>(embeddings.size()));
  }
  progress.finish();
  eval::Clusters made =
      eval::make_clusters(at::stack(embeddings, 0), prompts.texts, loaded.model->digest(), arguments.clusters);
  eval::save_clusters(arguments.output, made);
  return made;
}

void run(const ClusterArguments& arguments, const Globals& globals) {
  check_arguments(arguments);
  Warnings warnings = globals.make_warnings();
  const OrderedJson report =
      describe(arguments.show.empty() ? make(arguments, globals, warnings) : eval::load_clusters(arguments.show));
  arguments.json ? print_json(report) : print_text(report);
}

}  // namespace

void add_cluster(Command program, Globals& globals) {
  const auto arguments = std::make_shared<ClusterArguments>();
  arguments->clusters.counts = {32};
  arguments->clusters.seed = 42;
  Command command =
      program.subcommand("cluster", "Cluster the prompts of a dataset for the prior `clusters`, or show clusters");
  command.option("--model", arguments->model.model, "Hugging Face folder or .gguf file that embeds the prompts");
  command.option("--tokenizer", arguments->model.tokenizer, "Tokenizer folder or file (default: the model's own)");
  command.option("--dtype", arguments->model.dtype, "Of the model's weights and activations")
      .choices({"auto", "float32", "bfloat16", "float64"})
      .show_default();
  command.option("--device", arguments->model.device, "Where to compute")
      .choices({"auto", "cpu", "cuda"})
      .show_default();
  command.option("--data", arguments->data_file, "Training data, JSON Lines");
  command.option("--max-seq-length", arguments->data.max_seq_length, "Longest example in tokens").show_default();
  command.option("--clusters", arguments->clusters.counts, "Numbers of clusters, one for each number of gates: 4,8")
      .delimiter(',')
      .show_default();
  command.option("--seed", arguments->clusters.seed, "Of the first centroids").show_default();
  command.flag("--normalise", arguments->clusters.normalise, "Give every centroid length 1");
  command.option("--output", arguments->output, "File of centroids to write (safetensors)");
  command.option("--show", arguments->show, "File of centroids to look into, clusters.safetensors of an adapter");
  command.flag("--json", arguments->json, "Print JSON");
  command.on_chosen([arguments, &globals] { globals.action = [arguments, &globals] { run(*arguments, globals); }; });
}

}  // namespace morex::cli
