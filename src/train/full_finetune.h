// `method: full`: every weight of the base is trained.
#pragma once
#include <memory>

#include "train/trainable.h"

namespace morex::train {

// Moves the model's weights into one flat buffer of parameter_dtype (master values; the operations cast them where the
// base computes in bfloat16) and puts the leaves into the model's slots. One-dimensional weights (norms, biases) do
// not decay. Saved as a Hugging Face folder: config.json, model.safetensors, and the tokenizer's files.
// Throws Error(kConfig) for a base whose config.json cannot say all of it.
std::unique_ptr<Trainable> make_full_trainable(const Recipe& recipe, const Runtime& runtime, models::CausalLm& model,
                                               Warnings& warnings);

}  // namespace morex::train
