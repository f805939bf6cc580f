// Tensor names of GGUF files.
#pragma once
#include <string>
#include <string_view>

namespace morex::models {

// Divisors of the rotary frequencies, [head_dim / 2].
inline constexpr std::string_view kGgufRopeDivisors = "rope_freqs.weight";

// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight".
std::string gguf_name(const std::string& hugging_face_name);

}  // namespace morex::models
