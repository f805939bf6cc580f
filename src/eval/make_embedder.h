// The embedder that a run or a command is to use.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/warnings.h"
#include "eval/base_embedder.h"
#include "eval/clusters.h"
#include "eval/embedder.h"
#include "eval/vector_table.h"
#include "models/causal_lm.h"

namespace morex::eval {

// What the user named; nothing: the base, or for centroids that exist the embedder that made them.
struct EmbedderChoice {
  std::string encoder;                   // folder of a sentence encoder
  std::vector<GivenVectors> embeddings;  // one for each data file
};

// `model`: the base, null where none is loaded. Throws Error(kConfig) when both are named, or the base is wanted and is
// not there, and what the embedders throw.
std::unique_ptr<Embedder> make_embedder(const EmbedderChoice& choice, const models::CausalLm* model,
                                        BaseEmbedder::OnBase on_base, Warnings& warnings);

// The embedder for centroids that exist: what is named, else the base or the encoder at its recorded path. Throws
// Error(kConfig) when something is named that has no meaning for them, or nothing where vectors were given; `where` is
// the file of centroids.
std::unique_ptr<Embedder> embedder_of(const Clusters& clusters, const EmbedderChoice& choice,
                                      const models::CausalLm* model, BaseEmbedder::OnBase on_base,
                                      const std::string& where, Warnings& warnings);

}  // namespace morex::eval
