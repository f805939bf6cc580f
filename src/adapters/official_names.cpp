#include "adapters/official_names.h"

#include <cctype>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

// "{}" stands for the expert's number.
struct Rename {
  const char* layout;
  const char* official;
  const char* ours;
};

constexpr Rename kRenames[] = {
    {"mola", "router.router.weight", "moe_gate.weight"},
    {"mola", "lora_A_{}.weight", "experts.{}.lora_A.weight"},
    {"mola", "lora_B_{}.weight", "experts.{}.lora_B.weight"},
    {"loramoe", "lora_route.weight", "moe_gate.weight"},
    {"loramoe", "lora_A{}.weight", "experts.{}.lora_A.weight"},
    {"loramoe", "lora_B{}.weight", "experts.{}.lora_B.weight"},
    {"hydralora", "lora_route.weight", "moe_gate.weight"},
    {"hydralora", "lora_B{}.weight", "experts.{}.lora_B.weight"},
    {"adamole", "lora_gating.weight", "moe_gate.weight"},
    {"adamole", "lora_threshold.weight", "moe_gate.threshold.weight"},
    {"adamole", "lora_threshold.bias", "moe_gate.threshold.bias"},
    {"adamole", "lora_A.{}.weight", "experts.{}.lora_A.weight"},
    {"adamole", "lora_B.{}.weight", "experts.{}.lora_B.weight"},
    {"moelora", "lora_task_embedding.weight", "moe_gate.task_embedding.weight"},
    {"moelora", "lora_gate.GateL.weight", "moe_gate.weight"},
    {"moelora", "lora_A.loraA.{}.mlp.weight", "experts.{}.lora_A.weight"},
    {"moelora", "lora_B.loraB.{}.mlp.weight", "experts.{}.lora_B.weight"},
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
  return std::string(to.substr(0, place)) + std::string(number) + std::string(to.substr(place + 2));
}

std::string rename(const std::string& layout, const std::string& name, bool to_ours) {
  if (layout.empty()) return name;
  bool known = false;
  for (size_t start = 0; start != std::string::npos;) {
    for (const Rename& rule : kRenames) {
      if (layout != rule.layout) continue;
      known = true;
      const auto found = renamed(std::string_view(name).substr(start), to_ours ? rule.official : rule.ours,
                                 to_ours ? rule.ours : rule.official);
      if (found) return name.substr(0, start) + *found;
    }
    start = name.find('.', start);
    if (start != std::string::npos) ++start;
  }
  MOREX_CHECK(known, ErrorKind::kConfig, "[layout] must be one of {}, got '{}'.{}", join(official_layouts(), ", "),
              layout, did_you_mean(layout, official_layouts()));
  return name;
}

}  // namespace

std::vector<std::string> official_layouts() {
  std::vector<std::string> layouts;
  for (const Rename& rule : kRenames)
    if (layouts.empty() || layouts.back() != rule.layout) layouts.emplace_back(rule.layout);
  return layouts;
}

std::string official_name(const std::string& layout, const std::string& ours) { return rename(layout, ours, false); }
std::string our_name(const std::string& layout, const std::string& official) { return rename(layout, official, true); }

}  // namespace morex::adapters
