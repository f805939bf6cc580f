// T-REX (RoyZry98/T-REX-Pytorch): PEFT 0.4's LORA, with r = r1·r2 and an alpha that has no effect.
// DEVIATION: mode and r1, r2 are in no file of the project; the tensors' shapes tell. What they leave open stands under
// the names of the project's command line (moe_mode, ablation), which its reader passes over: we write them, and take
// them where they are.
#include <tuple>

#include "adapters/official/common.h"
#include "adapters/official/table.h"
#include "adapters/peft_config.h"
#include "base/error.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

constexpr const char* kLayout = "trex";
constexpr const char *kA = ".lora_A.weight", *kB = ".lora_B.weight", *kRouter = ".router.weight";
constexpr const char* kGate = ".binary_main_gate_weight.weight";

struct Sizes {
  int64_t down = 0, up = 0, experts = 0;
  bool gated = false;  // has the output gate γ
};

Sizes sizes_of(const OfficialFolder& folder) {
  const io::StoredTensor *a = folder.find(kA), *b = folder.find(kB), *router = folder.find(kRouter);
  MOREX_CHECK(a != nullptr && b != nullptr && a->shape.size() == 2 && b->shape.size() == 2 && router->shape.size() == 2,
              ErrorKind::kFormat, "[{}] T-REX needs matrices lora_A, lora_B and router, one of them is missing",
              folder.config.where());
  return {a->shape[0], b->shape[1], router->shape[0], folder.has(kGate)};
}

// As far as the shapes tell; `lora` stands for both modes that look alike.
std::string mode_of(const Sizes& sizes) {
  if (!sizes.gated) return "lora";
  return sizes.experts == sizes.down * sizes.up ? "rank1_flex" : "rank1";
}

std::string read_mode(const OfficialFolder& folder, const Sizes& sizes) {
  const std::string seen = mode_of(sizes);
  const auto said = folder.config.find<std::string>("moe_mode");
  if (!said) {
    if (seen == "lora")
      folder.warnings.add("trex:moe_mode",
                          fmt::format("[{}] the modes lora and sira look alike in the file: lora is taken. Hint: add "
                                      "\"moe_mode\": \"sira\" to it where that was the mode",
                                      folder.config.where()));
    return seen;
  }
  MOREX_CHECK(*said == seen || (seen == "lora" && *said == "sira"), ErrorKind::kFormat,
              "[{}] moe_mode must fit the tensors (lora_A with {} rows, lora_B with {} columns, router with {} rows), "
              "which are those of {}, got {}",
              folder.config.where(), sizes.down, sizes.up, sizes.experts, seen, *said);
  return *said;
}

}  // namespace

bool trex_recognises(const OfficialFolder& folder) {
  return folder.peft_type() == "LORA" && folder.has(kRouter) && !folder.has(".router.router.weight");
}

bool trex_suits(const std::vector<MethodEntry>& entries) { return is_one(entries, "rank_one_pairs", "pair_softmax"); }

Json trex_read(const OfficialFolder& folder) {
  const JsonReader& config = folder.config;
  std::vector<std::string> read = target_keys();
  for (const char* key : {"r", "lora_alpha", "lora_dropout", "moe_mode", "ablation", "rank1_flex_rank_allocation"})
    read.emplace_back(key);
  check_other_keys(config, read, folder.warnings);
  const Sizes sizes = sizes_of(folder);
  const std::string mode = read_mode(folder, sizes);
  Json experts = {{"kind", "rank_one_pairs"},
                  {"rank_allocation", {sizes.down, sizes.up}},
                  {"lora_dropout", config.get_or<double>("lora_dropout", 0.0)}};
  Json router = {{"kind", "pair_softmax"}}, prior = {{"kind", "clusters"}};
  if (mode == "rank1") experts["layout"] = "matched";
  if (!sizes.gated) {
    experts["layout"] = "interleaved";
    experts["num_experts"] = sizes.experts;
    prior = {{"kind", "none"}};
    if (mode == "sira") router["top_k"] = std::min<int64_t>(6, sizes.experts);
  } else {
    // The project's constants, whatever the number of experts.
    prior["token_coefficient"] = 32.0, prior["task_coefficient"] = 4.0;
  }
  if (const auto ablation = config.find<std::string>("ablation")) {
    MOREX_CHECK(*ablation == "intuition" && sizes.gated, ErrorKind::kFormat,
                "[{}] ablation: '{}' is not supported, only intuition is, for rank1 and rank1_flex", config.where(),
                *ablation);
    prior["use_scores"] = false;
  }
  Json method = {{"method", "trex"}, {"experts", experts}, {"router", router}, {"prior", prior}};
  read_targets(folder, method);
  return method;
}

Json trex_write(const OfficialExport& from) {
  const MethodEntry& entry = from.entries.front();
  refuse_patterns(entry, kLayout);
  OptionsLeft experts(entry.experts, "experts", kLayout), router(entry.router, "router", kLayout),
      prior(entry.prior, "prior", kLayout);
  const std::string layout = experts.take("layout", "pairs");
  const bool gated = layout != "interleaved";
  const auto ranks = experts.take("rank_allocation", Json()).get<std::vector<int64_t>>();
  experts.must_be("gate_scale", 100.0);
  Json config = low_rank_config_head();
  config.update({{"peft_type", "LORA"},
                 {"target_modules", from.targets},
                 {"r", layout == "pairs" ? ranks[0] * ranks[1] : ranks[0]},
                 {"lora_alpha", 16},  // the shipped recipe's; it has no effect
                 {"lora_dropout", experts.take("lora_dropout", 0.0)}});
  MOREX_CHECK(gated == (entry.prior.at("kind") == "clusters"), ErrorKind::kConfig,
              "[prior] {} has no place in the layout {}: layouts pairs and matched come with clusters, interleaved "
              "without",
              entry.prior.at("kind").get<std::string>(), kLayout);
  router.ignore({"init_std"});
  if (layout == "pairs") {
    config["moe_mode"] = "rank1_flex";
    config["rank1_flex_rank_allocation"] = ranks;
  } else if (gated) {
    config["moe_mode"] = "rank1";
  } else {
    // The number of experts is that of the router's rows.
    experts.ignore({"num_experts"});
    const Json picked = router.take("top_k", -1);
    config["moe_mode"] = picked == 6 ? "sira" : "lora";
    MOREX_CHECK(picked == 6 || picked == -1, ErrorKind::kConfig,
                "[router] top_k must be 6 (sira) or -1 (lora) for the layout {}, got {}", kLayout, picked.dump());
  }
  if (gated) {
    router.must_be("top_k", -1);
    const double defaults[] = {layout == "pairs" ? 32.0 : 1.0, layout == "pairs" ? 4.0 : 1.0};  // a missing key's
    for (const auto& [key, value, missing] :
         {std::tuple{"token_coefficient", 32.0, defaults[0]}, std::tuple{"task_coefficient", 4.0, defaults[1]}}) {
      const Json given = prior.take(key, missing);
      MOREX_CHECK(given == value, ErrorKind::kConfig, "[prior] {} must be {} for the layout {}, got {}", key, value,
                  kLayout, given.dump());
    }
    prior.must_be("gate_scale", 100.0);
    prior.must_be("top_k", -1);
    if (prior.take("use_scores", true) == Json(false)) config["ablation"] = "intuition";
  }
  experts.refuse_rest();
  router.refuse_rest();
  prior.refuse_rest();
  return config;
}

}  // namespace morex::adapters
