#include "text/gpt_rules.h"

#include <map>

namespace morex::text {
namespace {

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
                                R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
                                R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

const std::map<std::string, ByteLevelFamily>& families() {
  static const std::map<std::string, ByteLevelFamily> table = {
      {"default", {{R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}, false, false, false}},
      {"gpt-2", {{kGpt2}, false, false, false}},
      {"smollm", {{R"(\p{N})", kGpt2}, false, false, false}},
      {"llama-bpe", {{kLlama3}, false, true, true}},
      {"llama3", {{kLlama3}, false, true, true}},
      {"llama-v3", {{kLlama3}, false, true, true}},
      {"qwen2", {{kQwen2}, true, false, false}},
      {"tekken", {{kTekken}, false, true, true}},
  };
  return table;
}

}  // namespace

const ByteLevelFamily* byte_level_family(const std::string& name) {
  const auto found = families().find(name);
  return found == families().end() ? nullptr : &found->second;
}

std::vector<std::string> byte_level_family_names() {
  std::vector<std::string> names;
  for (const auto& [name, family] : families()) names.push_back(name);
  return names;
}

Json byte_level_pre_tokenizer(const ByteLevelFamily& family) {
  Json stages = Json::array();
  for (const std::string& pattern : family.patterns) {
    stages.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
  }
  stages.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}});
  return {{"type", "Sequence"}, {"pretokenizers", stages}};
}

Json normalizer_of(const ByteLevelFamily& family) { return family.nfc ? Json{{"type", "NFC"}} : Json(nullptr); }

Json template_processing(int64_t bos, int64_t eos) {
  if (bos < 0 && eos < 0) return nullptr;
  Json special_tokens = Json::object();
  Json single = Json::array(), pair = Json::array();
  const auto put_special = [&](Json& parts, const char* name, int64_t id, int type_id) {
    if (id < 0) return;
    special_tokens[name] = {{"id", name}, {"ids", {id}}};
    parts.push_back({{"SpecialToken", {{"id", name}, {"type_id", type_id}}}});
  };
  const auto put_text = [&](Json& parts, const char* sequence, int type_id) {
    put_special(parts, "bos", bos, type_id);
    parts.push_back({{"Sequence", {{"id", sequence}, {"type_id", type_id}}}});
    put_special(parts, "eos", eos, type_id);
  };
  put_text(single, "A", 0);
  put_text(pair, "A", 0);
  put_text(pair, "B", 1);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special_tokens}};
}

}  // namespace morex::text
