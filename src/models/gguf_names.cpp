#include "models/gguf_names.h"

#include <array>

#include "base/error.h"

namespace morex::models {
namespace {

struct Name {
  std::string_view hugging_face, gguf;
};
constexpr auto kOutside = std::to_array<Name>(
    {{"model.embed_tokens.", "token_embd."}, {"model.norm.", "output_norm."}, {"lm_head.", "output."}});
constexpr auto kInLayer = std::to_array<Name>({{"self_attn.q_proj.", "attn_q."},
                                               {"self_attn.k_proj.", "attn_k."},
                                               {"self_attn.v_proj.", "attn_v."},
                                               {"self_attn.o_proj.", "attn_output."},
                                               {"mlp.gate_proj.", "ffn_gate."},
                                               {"mlp.up_proj.", "ffn_up."},
                                               {"mlp.down_proj.", "ffn_down."},
                                               {"input_layernorm.", "attn_norm."},
                                               {"post_attention_layernorm.", "ffn_norm."}});
constexpr std::string_view kLayers = "model.layers.";

}  // namespace

std::string gguf_name(const std::string& hugging_face_name) {
  const std::string_view name = hugging_face_name;
  for (const Name& outside : kOutside) {
    if (name.starts_with(outside.hugging_face)) {
      return std::string(outside.gguf) + std::string(name.substr(outside.hugging_face.size()));
    }
  }
  MOREX_ASSERT(name.starts_with(kLayers));
  const size_t number_end = name.find('.', kLayers.size());
  const std::string block = "blk." + std::string(name.substr(kLayers.size(), number_end + 1 - kLayers.size()));
  const std::string_view rest = name.substr(number_end + 1);
  for (const Name& inside : kInLayer) {
    if (rest.starts_with(inside.hugging_face)) {
      return block + std::string(inside.gguf) + std::string(rest.substr(inside.hugging_face.size()));
    }
  }
  MOREX_ASSERT(!"every weight of a family that reads GGUF files has a name there");
  return "";
}

}  // namespace morex::models
