// A micro-batch as the model takes it.
#pragma once
#include <ATen/core/Tensor.h>

#include "data/batch.h"
#include "models/causal_lm.h"
#include "nn/batch_context.h"

namespace morex::train {

// A batch on the device, with the positions whose next token is supervised.
struct DeviceBatch {
  nn::BatchContext ctx;
  at::Tensor ids;      // [B, L]
  at::Tensor rows;     // [N] which of the T tokens predict a supervised one
  at::Tensor targets;  // [N]
};

// Whether padding is left out of a micro-batch with so many tokens on a grid of rows times length: more than a
// twentieth.
bool leaves_out_padding(int64_t tokens, int64_t grid);

// On the model's device. Phase kTrain; the context has a token mask only where the batch holds padding, and what the
// model's prompt reader says of the rows' prompts. Without `keep_padding`, much padding is left out
// (BatchContext::places): the model then works on the real tokens alone.
DeviceBatch put_on_device(const data::Batch& batch, const models::CausalLm& model, bool keep_padding);

}  // namespace morex::train
