#include "eval/sentence_encoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "base/checksum.h"
#include "base/error.h"
#include "base/json.h"

namespace morex::eval {
namespace {

namespace fs = std::filesystem;

// The folder of the pooling module; nothing where the folder is a plain model.
std::optional<fs::path> pooling_folder(const fs::path& folder) {
  const fs::path file = folder / "modules.json";
  if (!fs::exists(file)) return std::nullopt;
  const Json modules = read_json_file(file);
  std::vector<std::string> kinds;
  std::optional<fs::path> pooling;
  MOREX_CHECK(modules.is_array(), ErrorKind::kFormat, "[{}] must be a list of modules, got {}", file.string(),
              modules.type_name());
  for (const Json& entry : modules) {
    const JsonReader module(entry, file.string());
    const auto type = module.get<std::string>("type");
    kinds.push_back(type.substr(type.rfind('.') + 1));
    const auto path = module.get_or<std::string>("path", "");
    if (kinds.back() == "Pooling") pooling = folder / path;
    MOREX_CHECK(kinds.back() != "Transformer" || path.empty(), ErrorKind::kFormat,
                "[{}] the Transformer must lie in the folder itself, got path '{}'", file.string(), path);
  }
  const bool plain = kinds == std::vector<std::string>{"Transformer", "Pooling"};
  MOREX_CHECK(plain || kinds == std::vector<std::string>({"Transformer", "Pooling", "Normalize"}), ErrorKind::kFormat,
              "[{}] modules must be Transformer, Pooling and perhaps Normalize, got {}", file.string(),
              Json(kinds).dump());
  return pooling;
}

Pooling read_pooling(const fs::path& file, int64_t width) {
  const Json json = read_json_file(file);
  const JsonReader config(json, file.string());
  // Each of the two has a name in old and one in new files.
  const auto wide =
      config.get_or<int64_t>("embedding_dimension", config.get_or<int64_t>("word_embedding_dimension", width));
  MOREX_CHECK(wide == width, ErrorKind::kFormat, "[{}] the dimension must be the encoder's hidden_size {}, got {}",
              file.string(), width, wide);
  Json modes = config.raw("pooling_mode");
  if (modes.is_null()) {
    modes = Json::array();
    for (const auto& [key, value] : json.items())
      if (key.starts_with("pooling_mode_") && value == Json(true)) modes.push_back(key);
  }
  if (modes.is_array() && modes.size() == 1) modes = Json(modes.front());
  if (modes == "mean" || modes == "pooling_mode_mean_tokens") return Pooling::kMean;
  if (modes == "cls" || modes == "pooling_mode_cls_token") return Pooling::kFirstToken;
  fail(ErrorKind::kFormat, "[{}] pooling must be mean or cls alone, got {}", file.string(), modes.dump());
}

// max_seq_length where it is given, else what tokenizer and positions allow.
int64_t read_max_seq_length(const fs::path& folder, int64_t positions) {
  const fs::path file = folder / "sentence_bert_config.json", tokenizer = folder / "tokenizer_config.json";
  if (fs::exists(file)) {
    const Json json = read_json_file(file);
    const JsonReader config(json, file.string());
    MOREX_CHECK(!config.get_or<bool>("do_lower_case", false), ErrorKind::kFormat,
                "[{}] do_lower_case must be false: small letters are the tokenizer's business", file.string());
    if (const auto length = config.find<int64_t>("max_seq_length")) {
      MOREX_CHECK(*length >= 1 && *length <= positions, ErrorKind::kFormat,
                  "[{}] max_seq_length must be between 1 and the encoder's {} positions, got {}", file.string(),
                  positions, *length);
      return *length;
    }
  }
  if (!fs::exists(tokenizer)) return positions;
  const Json json = read_json_file(tokenizer);
  const auto longest = JsonReader(json, tokenizer.string()).get_or<double>("model_max_length", 1e30);
  MOREX_CHECK(longest >= 1, ErrorKind::kFormat, "[{}] model_max_length must be at least 1, got {}", tokenizer.string(),
              longest);
  return longest < static_cast<double>(positions) ? static_cast<int64_t>(longest) : positions;
}

}  // namespace

std::unique_ptr<SentenceEncoder> SentenceEncoder::load(const fs::path& folder, Warnings& warnings) {
  MOREX_CHECK(fs::is_directory(folder), ErrorKind::kFormat,
              "[{}] the encoder must be a folder with config.json, model.safetensors and tokenizer.json",
              folder.string());
  models::BertEncoder model = models::BertEncoder::load(folder, warnings);
  std::unique_ptr<SentenceEncoder> encoder(
      new SentenceEncoder(std::move(model), text::Tokenizer::load(folder / "tokenizer.json")));
  const models::BertConfig& config = encoder->model_.config();
  MOREX_CHECK(encoder->tokenizer_->vocab_size() <= config.vocab_size, ErrorKind::kFormat,
              "[{}] the tokenizer must have at most the encoder's {} ids, it has {}",
              (folder / "tokenizer.json").string(), config.vocab_size, encoder->tokenizer_->vocab_size());
  if (const auto pooling = pooling_folder(folder))
    encoder->pooling_ = read_pooling(*pooling / "config.json", config.hidden_size);
  encoder->max_seq_length_ = read_max_seq_length(folder, config.max_position_embeddings);
  const std::string rules = fmt::format("{} {} {} {} {} {}", encoder->model_.digest(), encoder->tokenizer_->digest(),
                                        config.num_attention_heads, config.layer_norm_eps, encoder->max_seq_length_,
                                        encoder->pooling_ == Pooling::kMean ? "mean" : "cls");
  encoder->identity_ = {"encoder", sha256_hex(rules), fs::absolute(folder).lexically_normal().string(),
                        config.hidden_size};
  return encoder;
}

at::Tensor SentenceEncoder::embed_text(const std::string& text) const {
  const at::NoGradGuard no_gradients;
  const at::Tensor hidden = model_.hidden(tokenizer_->encode_within(text, max_seq_length_)).to(at::kDouble);  // [L, D]
  const at::Tensor pooled = pooling_ == Pooling::kMean ? hidden.mean(0) : hidden[0];                          // [D]
  MOREX_CHECK(at::isfinite(pooled).all().item<bool>(), ErrorKind::kNumeric,
              "[encoder] the hidden states of a text must be finite");
  return unit_length(pooled);
}

}  // namespace morex::eval
