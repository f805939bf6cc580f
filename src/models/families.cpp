#include "models/families.h"

#include <array>

#include "base/strings.h"

namespace morex::models {

// One builder a family, each defined in family/NAME.cpp.
std::unique_ptr<CausalLm> build_llama(const ModelConfig& config, WeightSource& weights);

namespace {

constexpr auto kFamilies = std::to_array<Family>({
    {"llama", "llama", true, build_llama},
});

const Family& find(std::string_view Family::*name, std::string_view value, const char* key, const std::string& where) {
  std::vector<std::string> known;
  for (const Family& family : kFamilies) {
    if ((family.*name).empty()) continue;
    if (family.*name == value) return family;
    known.emplace_back(family.*name);
  }
  fail(ErrorKind::kFormat, "[{}] {} '{}' is not supported; known: {}", where, key, value, join(known, ", "));
}

}  // namespace

const Family& family_of_model_type(std::string_view model_type, const std::string& where) {
  return find(&Family::model_type, model_type, "model_type", where);
}

const Family& family_of_gguf(std::string_view architecture, const std::string& where) {
  return find(&Family::gguf_architecture, architecture, "general.architecture", where);
}

}  // namespace morex::models
