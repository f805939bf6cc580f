#include "adapters/official_names.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

// What stands before the decoder layers.
struct Prefix {
  const char* layout;
  const char* official;
};

constexpr std::string_view kOurPrefix = "base_model.model.model.";
constexpr Prefix kPrefixes[] = {
    {"mixlora", "mixlora."},
    {"mola_moe_peft", "mola."},
    {"loramoe_moe_peft", "loramoe."},
    // DEVIATION: nobody has seen a file of DynMoLE; its code base names the others' by this rule.
    {"dynmole", "dynmole."},
};

// "{}" stands for the expert's number. An alias is another name that files have for the same tensor: it is read, and
// never written.
struct Rename {
  const char* layout;
  const char* official;
  const char* ours;
  bool alias = false;
};

constexpr Rename kRenames[] = {
    // smore, trex and moslora have our names; one line each makes them known.
    {"smore", "moe_W_final", "moe_W_final"},
    // One pool for all levels stands there once for each.
    {"smore_shared", "moe_A.{}", "moe_A.0", true},
    {"smore_shared", "moe_A_bias.{}", "moe_A_bias.0", true},
    {"smore_shared", "moe_B.{}", "moe_B.0", true},
    {"smore_shared", "moe_B_bias.{}", "moe_B_bias.0", true},
    {"trex", "router.weight", "router.weight"},
    {"mola", "router.router.weight", "moe_gate.weight"},
    {"mola", "lora_A_{}.weight", "experts.{}.lora_A.weight"},
    {"mola", "lora_B_{}.weight", "experts.{}.lora_B.weight"},
    {"loramoe", "lora_route.weight", "moe_gate.weight"},
    {"loramoe", "lora_A{}.weight", "experts.{}.lora_A.weight"},
    {"loramoe", "lora_B{}.weight", "experts.{}.lora_B.weight"},
    {"hydralora", "lora_route.weight", "moe_gate.weight"},
    {"hydralora", "lora_B{}.weight", "experts.{}.lora_B.weight"},
    {"moslora", "lora_AB.weight", "lora_AB.weight"},
    {"adamole", "lora_gating.weight", "moe_gate.weight"},
    {"adamole", "lora_threshold.weight", "moe_gate.threshold.weight"},
    {"adamole", "lora_threshold.bias", "moe_gate.threshold.bias"},
    {"adamole", "lora_A.{}.weight", "experts.{}.lora_A.weight"},
    {"adamole", "lora_B.{}.weight", "experts.{}.lora_B.weight"},
    {"adamole", "moe_layer.experts.{}.lora_A.weight", "experts.{}.lora_A.weight", true},
    {"adamole", "moe_layer.experts.{}.lora_B.weight", "experts.{}.lora_B.weight", true},
    {"moelora", "lora_task_embedding.weight", "moe_gate.task_embedding.weight"},
    {"moelora", "lora_gate.GateL.weight", "moe_gate.weight"},
    {"moelora", "lora_A.loraA.{}.mlp.weight", "experts.{}.lora_A.weight"},
    {"moelora", "lora_B.loraB.{}.mlp.weight", "experts.{}.lora_B.weight"},
    {"moelora", "lora_A.loraA.{}.weight", "experts.{}.lora_A.weight", true},
    {"moelora", "lora_B.loraB.{}.weight", "experts.{}.lora_B.weight", true},
    // MixLoRA's files of before the feed-forward block had a name.
    {"mixlora", "gate.weight", "mlp.moe_gate.weight", true},
    {"mixlora", "experts.{}.w1_proj.lora_A.weight", "mlp.gate_proj.experts.{}.lora_A.weight", true},
    {"mixlora", "experts.{}.w1_proj.lora_B.weight", "mlp.gate_proj.experts.{}.lora_B.weight", true},
    {"mixlora", "experts.{}.w2_proj.lora_A.weight", "mlp.down_proj.experts.{}.lora_A.weight", true},
    {"mixlora", "experts.{}.w2_proj.lora_B.weight", "mlp.down_proj.experts.{}.lora_B.weight", true},
    {"mixlora", "experts.{}.w3_proj.lora_A.weight", "mlp.up_proj.experts.{}.lora_A.weight", true},
    {"mixlora", "experts.{}.w3_proj.lora_B.weight", "mlp.up_proj.experts.{}.lora_B.weight", true},
};

// `to` with the number that stands in `text` where `from` has "{}"; nothing when `from` does not match.
std::optional<std::string> renamed(std::string_view text, std::string_view from, std::string_view to) {
  const size_t hole = from.find("{}");
  if (hole == std::string_view::npos) return text == from ? std::optional(std::string(to)) : std::nullopt;
  const std::string_view head = from.substr(0, hole), tail = from.substr(hole + 2);
  if (text.size() <= head.size() + tail.size() || !text.starts_with(head) || !text.ends_with(tail)) return {};
  const std::string_view number = text.substr(hole, text.size() - head.size() - tail.size());
  for (const char c : number)
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) return {};
  const size_t place = to.find("{}");
  if (place == std::string_view::npos) return std::string(to);
  return std::string(to.substr(0, place)) + std::string(number) + std::string(to.substr(place + 2));
}

void check_layout(const std::string& layout) {
  const std::vector<std::string> known = official_layouts();
  MOREX_CHECK(std::find(known.begin(), known.end(), layout) != known.end(), ErrorKind::kConfig,
              "[layout] must be one of {}, got '{}'.{}", join(known, ", "), layout, did_you_mean(layout, known));
}

std::string rename(const std::string& layout, std::string name, bool to_ours) {
  if (layout.empty()) return name;
  check_layout(layout);
  for (const Prefix& prefix : kPrefixes) {
    const std::string_view from = to_ours ? prefix.official : kOurPrefix, to = to_ours ? kOurPrefix : prefix.official;
    if (layout == prefix.layout && name.starts_with(from)) name = std::string(to) + name.substr(from.size());
  }
  for (size_t start = 0; start != std::string::npos;) {
    for (const Rename& rule : kRenames) {
      if (layout != rule.layout || (rule.alias && !to_ours)) continue;
      const auto found = renamed(std::string_view(name).substr(start), to_ours ? rule.official : rule.ours,
                                 to_ours ? rule.ours : rule.official);
      if (found) return name.substr(0, start) + *found;
    }
    start = name.find('.', start);
    if (start != std::string::npos) ++start;
  }
  return name;
}

}  // namespace

std::vector<std::string> official_layouts() {
  std::vector<std::string> layouts;
  const auto add = [&layouts](const char* layout) {
    if (std::find(layouts.begin(), layouts.end(), layout) == layouts.end()) layouts.emplace_back(layout);
  };
  for (const Rename& rule : kRenames) add(rule.layout);
  for (const Prefix& prefix : kPrefixes) add(prefix.layout);
  return layouts;
}

std::string official_name(const std::string& layout, const std::string& ours) { return rename(layout, ours, false); }
std::string our_name(const std::string& layout, const std::string& official) { return rename(layout, official, true); }

}  // namespace morex::adapters
