// The recipe's `losses`: reading and writing.
#include <algorithm>
#include <cmath>

#include "adapters/gate_losses.h"
#include "base/strings.h"

namespace morex::adapters {
namespace {

constexpr std::pair<const char*, LossScope> kScopes[] = {
    {"site", LossScope::kSite}, {"layer", LossScope::kLayer}, {"model", LossScope::kModel}};

// Each kind with the keys that only it has.
const std::vector<std::pair<std::string, std::vector<std::string>>>& kinds() {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> all = {
      {"balance", {"padding", "normalised"}},
      {"main_balance", {"padding", "normalised"}},
      {"importance", {"padding"}},
      {"localized", {"delta"}},
      {"z", {"padding"}},
      {"entropy", {"padding", "entropy_type", "entropy_index", "entropy_eps"}},
  };
  return all;
}

std::vector<std::string> keys_of(const std::string& kind) {
  std::vector<std::string> names;
  for (const auto& [name, own] : kinds()) {
    names.push_back(name);
    if (name != kind) continue;
    std::vector<std::string> keys = {"kind", "coef", "scope"};
    keys.insert(keys.end(), own.begin(), own.end());
    return keys;
  }
  fail(ErrorKind::kConfig, "[losses] kind must be one of {}, got '{}'.{}", join(names, ", "), kind,
       did_you_mean(kind, names));
}

LossScope read_scope(const JsonReader& reader) {
  const auto scope = reader.get_or<std::string>("scope", "site");
  for (const auto& [name, value] : kScopes)
    if (scope == name) return value;
  fail(ErrorKind::kConfig, "[losses] scope must be site, layer or model, got '{}'", scope);
}

GateLoss read_loss(const Json& entry) {
  MOREX_CHECK(entry.is_object(), ErrorKind::kConfig, "[losses] each must be {{kind, coef, scope}}, got {}",
              entry.dump());
  const JsonReader reader(entry, "losses", ErrorKind::kConfig);
  GateLoss loss;
  loss.kind = reader.get<std::string>("kind");
  reader.refuse_unknown_keys(keys_of(loss.kind));
  loss.coef = reader.get_or<double>("coef", 0.01);
  loss.scope = read_scope(reader);
  loss.padding = reader.get_or<bool>("padding", false);
  loss.normalised = reader.get_or<bool>("normalised", false);
  loss.delta = reader.get_or<double>("delta", loss.delta);
  MOREX_CHECK(std::isfinite(loss.coef) && loss.coef >= 0.0, ErrorKind::kConfig,
              "[losses] coef must be a finite number, at least 0, got {}", loss.coef);
  MOREX_CHECK(loss.delta >= 0.0 && loss.delta <= 1.0, ErrorKind::kConfig,
              "[losses] delta must be at least 0 and at most 1, got {}", loss.delta);
  if (reader.has("entropy_type") || reader.has("entropy_index") || reader.has("entropy_eps"))
    loss.entropy = read_entropy_form(reader);
  return loss;
}

}  // namespace

std::vector<GateLoss> read_losses(const Json& list) {
  MOREX_CHECK(list.is_array(), ErrorKind::kConfig, "[losses] must be a list of {{kind, coef, scope}}, got {}",
              list.dump());
  std::vector<GateLoss> losses;
  for (const Json& entry : list) losses.push_back(read_loss(entry));
  loss_needs(losses);
  return losses;
}

Json losses_to_json(const std::vector<GateLoss>& losses) {
  Json list = Json::array();
  for (const GateLoss& loss : losses) {
    Json entry = {{"kind", loss.kind}, {"coef", loss.coef}, {"scope", kScopes[static_cast<size_t>(loss.scope)].first}};
    if (loss.padding) entry["padding"] = true;
    if (loss.normalised) entry["normalised"] = true;
    if (loss.kind == "localized") entry["delta"] = loss.delta;
    if (loss.entropy) {
      entry["entropy_type"] = loss.entropy->type == EntropyForm::Type::kRenyi ? "renyi" : "tsallis";
      entry["entropy_index"] = loss.entropy->index;
      entry["entropy_eps"] = loss.entropy->eps;
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace morex::adapters
