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

// On the model's device. Phase kTrain; the context has a token mask only where the batch holds padding, and what the
// model's prompt reader says of the rows' prompts. Without `keep_padding`, padding of more than a twentieth is left out
// (BatchContext::places): the model then works on the real tokens alone.
DeviceBatch put_on_device(const data::Batch& batch, const models::CausalLm& model, bool keep_padding);

}  // namespace morex::train
