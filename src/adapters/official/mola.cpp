// MoLA (GCYZSL/MoLA): an old PEFT's LORA whose r is a list over decoder layers. How many experts a layer has, its
// router's rows tell.
// DEVIATION: how many a token gets (top_k) is in no file of the project. We write it, as number_experts, beside the
// project's keys, which its reader passes over, and take it where it is.
#include <map>

#include "adapters/official/common.h"
#include "adapters/official/table.h"
#include "adapters/peft_config.h"
#include "base/error.h"

namespace morex::adapters {
namespace {

constexpr const char* kLayout = "mola";
constexpr const char* kRouter = ".router.router.weight";

// The first extent of tensors with this ending, by layer, the same for all projections of one.
std::map<int64_t, int64_t> extents(const std::vector<std::pair<std::string, std::vector<int64_t>>>& tensors,
                                   std::string_view ending, const std::string& what, const std::string& where,
                                   ErrorKind kind) {
  std::map<int64_t, int64_t> found;
  for (const auto& [name, shape] : tensors) {
    if (!name.ends_with(ending)) continue;
    const auto layer = layer_number(name);
    MOREX_CHECK(layer && !shape.empty(), kind, "[{}] {} must lie in a decoder layer and have rows", where, name);
    const auto [entry, fresh] = found.emplace(*layer, shape[0]);
    MOREX_CHECK(entry->second == shape[0], kind,
                "[{}] the projections of layer {} must have the same {} in the layout {}, got {} and {}", where, *layer,
                what, kLayout, entry->second, shape[0]);
  }
  return found;
}

std::vector<std::pair<std::string, std::vector<int64_t>>> shapes(const OfficialFolder& folder) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> list;
  for (const io::StoredTensor& stored : folder.tensors) list.emplace_back(stored.name, stored.shape);
  return list;
}

std::vector<std::pair<std::string, std::vector<int64_t>>> shapes(const nn::ParameterStore& store) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> list;
  for (const nn::NamedView& view : store.views()) list.emplace_back(view.name, store.named_value(view).sizes().vec());
  return list;
}

std::vector<int64_t> over_layers(const std::map<int64_t, int64_t>& by_layer, int64_t layers, int64_t otherwise) {
  std::vector<int64_t> list(static_cast<size_t>(layers), otherwise);
  for (const auto& [layer, value] : by_layer)
    if (layer < layers) list[static_cast<size_t>(layer)] = value;
  return list;
}

}  // namespace

bool mola_recognises(const OfficialFolder& folder) { return folder.peft_type() == "LORA" && folder.has(kRouter); }

bool mola_suits(const std::vector<MethodEntry>& entries) {
  return is_one(entries, "low_rank_experts", "top_k") && !entries[0].experts.value("shared_a", false);
}

Json mola_read(const OfficialFolder& folder) {
  const JsonReader& config = folder.config;
  std::vector<std::string> read = target_keys();
  for (const char* key : {"r", "lora_alpha", "lora_dropout", "top_k", "number_experts"}) read.emplace_back(key);
  check_other_keys(config, read, folder.warnings);
  const Json& r = config.raw("r");
  const int64_t layers = decoder_layers(folder.slots);
  const auto ranks = r.is_array() ? config.get<std::vector<int64_t>>("r")
                                  : std::vector<int64_t>(static_cast<size_t>(layers), config.get<int64_t>("r"));
  MOREX_CHECK(static_cast<int64_t>(ranks.size()) >= layers, ErrorKind::kFormat,
              "[{}] r must hold a rank for each of the base's {} layers, got {}", config.where(), layers, r.dump());
  const auto experts = extents(shapes(folder), kRouter, "number of experts", config.where(), ErrorKind::kFormat);
  config.get<double>("lora_alpha");
  int64_t picked = 2;
  if (config.has("top_k")) {
    picked = config.get<int64_t>("top_k");
  } else {
    folder.warnings.add("mola:top_k",
                        fmt::format("[{}] this layout does not say how many experts a token gets: top_k 2 is taken. "
                                    "Hint: add \"top_k\" to it",
                                    config.where()));
  }
  Json method = {{"method", "mola"},
                 {"experts",
                  {{"kind", "low_rank_experts"},
                   {"r", ranks.front()},
                   {"lora_alpha", config.raw("lora_alpha")},
                   {"lora_dropout", config.get_or<double>("lora_dropout", 0.0)},
                   {"num_experts", over_layers(experts, layers, 1)}}},
                 {"router", {{"kind", "top_k"}, {"top_k", picked}}}};
  for (const auto& [layer, count] : experts)
    if (layer < layers && ranks[static_cast<size_t>(layer)] != ranks.front())
      method["rank_pattern"][fmt::format(R"(layers\.{}\..*)", layer)] = ranks[static_cast<size_t>(layer)];
  read_targets(folder, method);
  return method;
}

Json mola_write(const OfficialExport& from) {
  const MethodEntry& entry = from.entries.front();
  refuse_prior(entry, kLayout);
  MOREX_CHECK(entry.alpha_pattern.to_json().empty(), ErrorKind::kConfig,
              "[alpha_pattern] {} has no place in the layout {}", entry.alpha_pattern.to_json().dump(), kLayout);
  OptionsLeft experts(entry.experts, "experts", kLayout), router(entry.router, "router", kLayout);
  Json config = write_low_rank(from, experts);
  config["peft_type"] = "LORA";
  experts.must_be("shared_a", false);
  experts.must_be("split_rank", false);
  experts.ignore({"num_experts"});
  experts.refuse_rest();
  router.must_be("renormalise", true);
  config["top_k"] = router.take("top_k", 2);
  router.ignore({"init_std"});
  router.refuse_rest();

  const auto list = shapes(from.store);
  const auto counts = extents(list, ".moe_gate.weight", "number of experts", "experts", ErrorKind::kConfig);
  const auto ranks = extents(list, ".experts.0.lora_A.weight", "rank", "rank_pattern", ErrorKind::kConfig);
  config["r"] = over_layers(ranks, decoder_layers(from.slots), ranks.begin()->second);
  config["number_experts"] = over_layers(counts, decoder_layers(from.slots), counts.begin()->second);
  return config;
}

}  // namespace morex::adapters
