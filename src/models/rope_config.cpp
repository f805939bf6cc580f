#include "models/rope_config.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace morex::models {
namespace {

// A scaling type and the keys it reads beside its own name, required ones first.
struct RopeType {
  std::string_view name;
  std::vector<std::string> required, optional;
};

const std::vector<RopeType>& rope_types() {
  static const std::vector<RopeType> kTypes = {
      {"default", {}, {}},
      {"linear", {"factor"}, {}},
      {"dynamic", {"factor"}, {"original_max_position_embeddings"}},
      {"llama3", {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}, {}},
      {"yarn",
       {"factor"},
       {"original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim",
        "truncate"}}};
  return kTypes;
}

// "rope_type", or "type" as it was called before.
const RopeType& read_type(const JsonReader& rope) {
  const auto now = rope.find<std::string>("rope_type"), before = rope.find<std::string>("type");
  MOREX_CHECK(now || before, rope.kind(), "[{}] rope_type is missing, it must be a string", rope.where());
  MOREX_CHECK(!now || !before || *now == *before, rope.kind(), "[{}] rope_type and type must agree, got {} and {}",
              rope.where(), *now, *before);
  const std::string name = now ? *now : *before;
  for (const RopeType& type : rope_types()) {
    if (type.name == name) return type;
  }
  fail(rope.kind(), "[{}] rope_type must be default, linear, dynamic, llama3 or yarn, got '{}'", rope.where(), name);
}

double positive(const JsonReader& rope, const char* key, double fallback) {
  const double value = rope.get_or<double>(key, fallback);
  MOREX_CHECK(value > 0.0, rope.kind(), "[{}] {} must be positive, got {}", rope.where(), key, value);
  return value;
}

RopeScaling read_scaling(const JsonReader& rope, const ModelConfig& config, Warnings& warnings) {
  const RopeType& type = read_type(rope);
  for (const std::string& key : type.required) (void)rope.get<double>(key);
  for (const auto& [key, value] : rope.object().items()) {
    const bool used = key == "type" || key == "rope_type" || key == "rope_theta" ||
                      std::count(type.required.begin(), type.required.end(), key) > 0 ||
                      std::count(type.optional.begin(), type.optional.end(), key) > 0;
    if (!used && !value.is_null()) {
      warnings.add("config.rope." + key, fmt::format("[{}] key '{}' has no meaning for rope type {} and is ignored",
                                                     rope.where(), key, type.name));
    }
  }
  RopeScaling out;
  out.type = type.name;
  if (out.type == "default") return out;
  out.factor = positive(rope, "factor", 1.0);
  out.original_max_position_embeddings = rope.get_or<int64_t>("original_max_position_embeddings", 0);
  MOREX_CHECK(out.original_max_position_embeddings >= 0, rope.kind(),
              "[{}] original_max_position_embeddings must be positive, got {}", rope.where(),
              out.original_max_position_embeddings);
  if (out.type == "dynamic") {
    MOREX_CHECK(config.head_dim > 2, rope.kind(), "[{}] dynamic needs a head_dim above 2, got {}", rope.where(),
                config.head_dim);
  }
  if (out.type == "llama3") {
    out.low_freq_factor = positive(rope, "low_freq_factor", 0.0);
    out.high_freq_factor = positive(rope, "high_freq_factor", 0.0);
    MOREX_CHECK(out.high_freq_factor > out.low_freq_factor, rope.kind(),
                "[{}] high_freq_factor must be above low_freq_factor, got {} and {}", rope.where(),
                out.high_freq_factor, out.low_freq_factor);
    MOREX_CHECK(out.original_max_position_embeddings > 0, rope.kind(),
                "[{}] original_max_position_embeddings must be positive, got 0", rope.where());
  }
  if (out.type == "yarn") {
    MOREX_CHECK(config.rope_theta > 1.0, rope.kind(), "[{}] yarn needs a rope_theta above 1, got {}", rope.where(),
                config.rope_theta);
    out.attention_factor = rope.has("attention_factor") ? positive(rope, "attention_factor", 0.0) : 0.0;
    // Hugging Face takes its default for a zero as well as for a missing value.
    const double fast = rope.get_or<double>("beta_fast", 0.0), slow = rope.get_or<double>("beta_slow", 0.0);
    if (fast != 0.0) out.beta_fast = positive(rope, "beta_fast", 0.0);
    if (slow != 0.0) out.beta_slow = positive(rope, "beta_slow", 0.0);
    out.mscale = rope.get_or<double>("mscale", 0.0);
    out.mscale_all_dim = rope.get_or<double>("mscale_all_dim", 0.0);
    out.truncate = rope.get_or<bool>("truncate", true);
    const double implied = static_cast<double>(config.max_position_embeddings) /
                           static_cast<double>(std::max<int64_t>(out.original_max_position_embeddings, 1));
    if (out.original_max_position_embeddings > 0 && implied != out.factor) {
      warnings.add("config.rope.factor", fmt::format("[{}] factor {} is used, though max_position_embeddings / "
                                                     "original_max_position_embeddings is {}",
                                                     rope.where(), out.factor, implied));
    }
  }
  return out;
}

}  // namespace

void read_rope(const JsonReader& config, ModelConfig& out, Warnings& warnings) {
  MOREX_CHECK(!(config.has("rope_scaling") && config.has("rope_parameters")), config.kind(),
              "[{}] rope_scaling and rope_parameters must not both be there", config.where());
  const char* key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  out.rope_theta = config.get_or<double>("rope_theta", 10000.0);
  if (config.has(key)) {
    const JsonReader rope(config.raw(key), config.where() + ": " + key, config.kind());
    out.rope_theta = rope.get_or<double>("rope_theta", out.rope_theta);
    out.rope_scaling = read_scaling(rope, out, warnings);
  }
  MOREX_CHECK(out.rope_theta > 0.0, config.kind(), "[{}] rope_theta must be positive, got {}", config.where(),
              out.rope_theta);
}

}  // namespace morex::models
