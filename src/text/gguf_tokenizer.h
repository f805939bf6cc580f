// The tokenizer inside a GGUF file.
#pragma once
#include "io/gguf.h"
#include "text/tokenizer_spec.h"

namespace morex::text {

// tokenizer.ggml.model gpt2 (byte-level BPE; `pre` names the splitting rules and must be a known one) or llama
// (SentencePiece BPE by scores). Throws Error(kFormat) naming the file and the key.
TokenizerSpec read_gguf_tokenizer(const io::GgufFile& file);

}  // namespace morex::text
