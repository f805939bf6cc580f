// morex cluster: makes a file of centroids from the prompts of a dataset, or shows what one holds.
#include <ATen/core/Tensor.h>
#include <ATen/ops/stack.h>
#include <fmt/core.h>

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/options.h"
#include "cli/output.h"
#include "data/dataset.h"
#include "data/questions.h"
#include "eval/cluster_picture.h"
#include "eval/clusters.h"
#include "eval/make_embedder.h"
#include "train/cluster_prompts.h"
#include "train/runtime.h"

namespace morex::cli {

namespace fs = std::filesystem;

namespace {

struct ClusterArguments {
  ModelArguments model;
  data::DatasetOptions data;
  eval::ClusterOptions clusters;
  std::string data_file, output, show, picture;
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
                      {"silhouette", k < set.silhouettes.size() ? OrderedJson(set.silhouettes[k]) : OrderedJson()},
                      {"nearest", k < set.nearest.size() ? set.nearest[k] : std::vector<std::string>{}}});
    sets.push_back({{"count", set.centroids.size(0)},
                    {"inertia", set.inertia},
                    {"silhouette", eval::mean_silhouette(set)},
                    {"clusters", rows}});
  }
  return {{"embedder",
           {{"kind", clusters.embedder.kind},
            {"digest", clusters.embedder.digest},
            {"path", clusters.embedder.path},
            {"width", clusters.embedder.width}}},
          {"normalised", clusters.normalised},
          {"seed", clusters.seed},
          {"sets", sets}};
}

// One line of a prompt: its beginning.
std::string first_words(std::string text) {
  constexpr size_t kShown = 72;
  for (char& c : text)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  if (text.size() <= kShown) return text;
  size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

void print_text(const OrderedJson& report) {
  const OrderedJson& embedder = report["embedder"];
  std::string name = embedder["kind"].get<std::string>();
  if (const auto path = embedder["path"].get<std::string>(); !path.empty()) name += " " + path;
  fmt::print("{}", aligned_pairs({{"embedder", name},
                                  {"width", embedder["width"].dump()},
                                  {"normalised", report["normalised"].dump()},
                                  {"seed", report["seed"].dump()}}));
  for (const OrderedJson& set : report["sets"]) {
    fmt::print("\n{} clusters, inertia {:.4f}, silhouette {:.3f}\n", set["count"].dump(), set["inertia"].get<double>(),
               set["silhouette"].get<double>());
    Table table({"cluster", "size", "length", "silhouette", "nearest prompts"});
    for (const OrderedJson& row : set["clusters"]) {
      const auto nearest = row["nearest"].get<std::vector<std::string>>();
      const OrderedJson& silhouette = row["silhouette"];
      table.add({row["cluster"].dump(), row["size"].dump(), fmt::format("{:.3f}", row["length"].get<double>()),
                 silhouette.is_null() ? "" : fmt::format("{:.3f}", silhouette.get<double>()),
                 nearest.empty() ? "" : first_words(nearest.front())});
      for (size_t i = 1; i < nearest.size(); ++i) table.add({"", "", "", "", first_words(nearest[i])});
    }
    fmt::print("{}", table.text());
  }
}

void check_arguments(const ClusterArguments& arguments) {
  const ModelArguments& model = arguments.model;
  const bool makes = arguments.show.empty();
  const bool embeds = !model.model.empty() || !model.encoder.empty() || !model.embeddings.empty();
  MOREX_CHECK(!makes || (embeds && !arguments.data_file.empty() && !arguments.output.empty()), ErrorKind::kConfig,
              "cluster needs --data, --output and one of --model, --encoder and --embeddings to make a file, or --show "
              "FILE to look into one");
  MOREX_CHECK(makes || arguments.output.empty(), ErrorKind::kConfig, "--show and --output exclude each other");
  MOREX_CHECK(arguments.picture.empty() || !arguments.data_file.empty(), ErrorKind::kConfig,
              "--picture shows the prompts of a file: it needs --data");
  for (const int64_t count : arguments.clusters.counts)
    MOREX_CHECK(count >= 1, ErrorKind::kConfig, "--clusters must be positive numbers, got {}", count);
}

// The prompts of the data and where their vectors come from.
struct Prompts {
  LoadedModel base;  // only what the embedder needs of it
  std::unique_ptr<eval::Embedder> embedder;
  std::vector<nn::Prompt> prompts;
  at::Tensor embeddings;  // [N, D]
};

// Centroids that exist choose the embedder, `made` null: the arguments do.
Prompts embed(const ClusterArguments& arguments, const eval::Clusters* made, const Globals& globals,
              Warnings& warnings) {
  Prompts all;
  ModelArguments model = arguments.model;
  model.encoder = model.embeddings = "";  // for load(), they belong to an adapter
  const bool by_base = made != nullptr ? made->embedder.kind == "base"
                                       : arguments.model.encoder.empty() && arguments.model.embeddings.empty();
  if (by_base && !model.model.empty()) {
    all.base = load(model, globals.threads, warnings);
  } else {
    train::Recipe threads_only;
    threads_only.threads = globals.threads;
    train::resolve_runtime(threads_only, warnings);
  }
  eval::EmbedderChoice choice{arguments.model.encoder, {}};
  if (!arguments.model.embeddings.empty())
    choice.embeddings.push_back({arguments.model.embeddings, arguments.data_file});
  const auto on_base = [](const std::function<void()>& body) { body(); };
  if (made != nullptr) {
    all.embedder = eval::embedder_of(*made, choice, all.base.model.get(), on_base, arguments.show, warnings);
    eval::check_clusters(*made, {}, *all.embedder, arguments.show);
  } else {
    all.embedder = eval::make_embedder(choice, all.base.model.get(), on_base, warnings);
  }
  if (by_base) {
    all.prompts = train::prompts_of(
        data::load_dataset(arguments.data_file, *all.base.tokenizer, arguments.data, warnings).examples);
  } else {
    for (SequenceFacts& facts : data::load_questions(arguments.data_file, arguments.data.format))
      all.prompts.emplace_back(std::vector<int64_t>(), std::move(facts));
  }
  all.prompts = train::clustered_prompts(std::move(all.prompts), *all.embedder, arguments.clusters.seed);
  Progress progress("prompts", static_cast<int64_t>(all.prompts.size()), globals.quiet);
  std::vector<at::Tensor> embeddings;
  for (const nn::Prompt& prompt : all.prompts) {
    embeddings.push_back(all.embedder->embed(prompt));
    progress.update(static_cast<int64_t>(embeddings.size()));
  }
  progress.finish();
  all.embeddings = at::stack(embeddings, 0);
  return all;
}

// One picture of each set: FILE.svg, with several sets FILE.K.svg.
void write_pictures(const fs::path& file, const eval::Clusters& clusters, const Prompts& prompts,
                    const std::vector<std::vector<int64_t>>& assignment) {
  const at::Tensor points = eval::compared(clusters, prompts.embeddings);
  const std::vector<std::string> texts = train::questions(prompts.prompts);
  for (size_t s = 0; s < clusters.sets.size(); ++s) {
    const eval::ClusterSet& set = clusters.sets[s];
    fs::path path = file;
    if (clusters.sets.size() > 1)
      path.replace_extension(std::to_string(set.centroids.size(0)) + file.extension().string());
    write_text_file(path, eval::cluster_picture(set, points, assignment[s], texts));
  }
}

void run(const ClusterArguments& arguments, const Globals& globals) {
  check_arguments(arguments);
  Warnings warnings = globals.make_warnings();
  const bool shows = !arguments.show.empty();
  eval::Clusters clusters;
  if (shows) clusters = eval::load_clusters(arguments.show);
  if (!arguments.data_file.empty()) {
    const Prompts prompts = embed(arguments, shows ? &clusters : nullptr, globals, warnings);
    const std::vector<std::string> texts = train::questions(prompts.prompts);
    if (!shows) {
      clusters = eval::make_clusters(prompts.embeddings, texts, prompts.embedder->identity(), arguments.clusters);
      eval::save_clusters(arguments.output, clusters);
    }
    std::vector<std::vector<int64_t>> assignment;
    clusters = eval::describe_with(clusters, prompts.embeddings, texts, arguments.clusters.examples, assignment);
    if (!arguments.picture.empty()) write_pictures(arguments.picture, clusters, prompts, assignment);
  }
  const OrderedJson report = describe(clusters);
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
  command.option("--encoder", arguments->model.encoder, "Folder of a sentence encoder that embeds them instead");
  command.option("--embeddings", arguments->model.embeddings,
                 "Or a file of their vectors, .npy or .safetensors, one for each row of --data");
  command.option("--data", arguments->data_file, "Training data, JSON Lines; with --show: what to describe it with");
  command.option("--max-seq-length", arguments->data.max_seq_length, "Longest example in tokens").show_default();
  command.option("--clusters", arguments->clusters.counts, "Numbers of clusters, one for each number of gates: 4,8")
      .delimiter(',')
      .show_default();
  command.option("--seed", arguments->clusters.seed, "Of the first centroids").show_default();
  command.flag("--normalise", arguments->clusters.normalise, "Give every centroid length 1");
  command.option("--output", arguments->output, "File of centroids to write (safetensors)");
  command.option("--show", arguments->show, "File of centroids to look into, clusters.safetensors of an adapter");
  command.option("--picture", arguments->picture, "Write the prompts in the plane of most variance, an .svg file");
  command.flag("--json", arguments->json, "Print JSON");
  command.on_chosen([arguments, &globals] { globals.action = [arguments, &globals] { run(*arguments, globals); }; });
}

}  // namespace morex::cli
