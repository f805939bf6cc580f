#include "eval/make_embedder.h"

#include <filesystem>

#include "base/error.h"
#include "eval/sentence_encoder.h"

namespace morex::eval {

std::unique_ptr<Embedder> make_embedder(const EmbedderChoice& choice, const models::CausalLm* model,
                                        BaseEmbedder::OnBase on_base, Warnings& warnings) {
  MOREX_CHECK(choice.encoder.empty() || choice.embeddings.empty(), ErrorKind::kConfig,
              "[clusters] an encoder and given vectors exclude each other");
  if (!choice.encoder.empty()) return SentenceEncoder::load(choice.encoder, warnings);
  if (!choice.embeddings.empty()) return std::make_unique<VectorTable>(choice.embeddings);
  MOREX_CHECK(model != nullptr, ErrorKind::kConfig,
              "[clusters] the base reads the prompts, but no model is named. Hint: --model, or --encoder");
  return std::make_unique<BaseEmbedder>(*model, std::move(on_base));
}

std::unique_ptr<Embedder> embedder_of(const Clusters& clusters, const EmbedderChoice& choice,
                                      const models::CausalLm* model, BaseEmbedder::OnBase on_base,
                                      const std::string& where, Warnings& warnings) {
  const std::string& kind = clusters.embedder.kind;
  const bool named = !choice.encoder.empty() || !choice.embeddings.empty();
  MOREX_CHECK(named || kind != "vectors", ErrorKind::kConfig,
              "[{}] the centroids are made of given vectors: name those of these prompts (embeddings), or the encoder "
              "that makes them",
              where);
  MOREX_CHECK(!named || kind != "base", ErrorKind::kConfig,
              "[{}] the centroids are made with the base itself, which needs no encoder and no embeddings", where);
  MOREX_CHECK(choice.embeddings.empty() || kind == "vectors", ErrorKind::kConfig,
              "[{}] the centroids are made with an encoder, given vectors could be anybody's. Hint: name the encoder, "
              "or nothing where it still lies in {}",
              where, clusters.embedder.path);
  EmbedderChoice wanted = choice;
  if (kind == "encoder" && !named) {
    wanted.encoder = clusters.embedder.path;
    MOREX_CHECK(std::filesystem::exists(wanted.encoder), ErrorKind::kFormat,
                "[{}] the encoder of the centroids must be in {}, where it was, or be named with --encoder", where,
                wanted.encoder);
  }
  return make_embedder(wanted, model, std::move(on_base), warnings);
}

}  // namespace morex::eval
